function Write-AutomationProgress {
    <#
    .SYNOPSIS
    Reports how far the running automation has come.
    .DESCRIPTION
    The run shows percent and message at once. May be called as often as is convenient: a report that comes less than half a second after the last
    one is left out. Without a bridge, as at a prompt, it does nothing. Write-Progress in the work of Invoke-Automation does the same.
    .PARAMETER PercentComplete
    From 0 to 100.
    .PARAMETER Message
    What is being done.
    .EXAMPLE
    Write-AutomationProgress (100 * $done / $all) "$done of $all mailboxes"
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory, Position = 0)] [Alias('Percent')] [double] $PercentComplete,
        [Parameter(Position = 1)] [Alias('Status')] [string] $Message = ''
    )
    Send-Progress $PercentComplete $Message
}

function Send-Progress([double] $Percent, [string] $Message) {
    # Below zero, as Write-Progress has it where the share is not known, the last one stays.
    $invocation = $script:Current
    $now = [System.Environment]::TickCount64
    if ($null -eq $invocation -or $now -lt $invocation.ReportAt) { return }
    $invocation.ReportAt = $now + $script:ReportEvery
    if ($Percent -ge 0) { $invocation.Percent = [System.Math]::Min($Percent, 100) }
    $progress = [ordered]@{ percent = $invocation.Percent; message = (Limit-Message (Hide-Secret $Message $invocation.Token)) }
    Send-Invocation $invocation POST ([ordered]@{ status = 'running'; progress = $progress })
}

function Limit-Message([string] $Text) { return $Text.Length -le 500 ? $Text : $Text.Substring(0, 500) }
