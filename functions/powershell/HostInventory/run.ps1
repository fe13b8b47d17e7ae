# host.inventory, and one side of fleet.inventory: what this machine is and what it is busy with.
param($message)

Invoke-Automation $message {
    param($in)

    $top = $in['top'] ?? 5
    Write-AutomationProgress 10 'operating system and memory'
    $memory = [GC]::GetGCMemoryInfo()
    $load = 100 * $memory.MemoryLoadBytes / $memory.TotalAvailableMemoryBytes  # percent
    $system = [ordered]@{
        description  = [Runtime.InteropServices.RuntimeInformation]::OSDescription
        architecture = "$([Runtime.InteropServices.RuntimeInformation]::OSArchitecture)"
        host         = [Environment]::MachineName
        upSeconds    = [long] ([Environment]::TickCount64 / 1000)
        powershell   = "$($PSVersionTable.PSVersion)"
    }

    Write-AutomationProgress 40 'disks'
    $disks = foreach ($drive in [IO.DriveInfo]::GetDrives()) {
        # A drive without a medium or without permission has no size; memory file systems are no disks.
        $size = try { $drive.IsReady ? $drive.TotalSize : 0 } catch { 0 }
        if ($size -gt 0 -and $drive.DriveType -in 'Fixed', 'Network') {
            [ordered]@{ name = $drive.Name; format = $drive.DriveFormat; bytes = $size; freeBytes = $drive.AvailableFreeSpace }
        }
    }

    Write-AutomationProgress 70 'processes'
    $processes = @(Get-Process | Sort-Object WorkingSet64 -Descending)
    $busiest = foreach ($process in $processes | Select-Object -First $top) {
        [ordered]@{
            name = $process.ProcessName; id = $process.Id; memoryBytes = $process.WorkingSet64; cpuSeconds = [Math]::Round($process.CPU ?? 0, 2)
        }
    }

    [ordered]@{
        system     = $system
        processors = [Environment]::ProcessorCount
        memory     = [ordered]@{ bytes = $memory.TotalAvailableMemoryBytes; load = [Math]::Round($load, 1) }
        disks      = @($disks)
        processes  = [ordered]@{ count = $processes.Count; top = @($busiest) }
    }
}
