# The counting functions of ../../apps in PowerShell: each counts its effects in a file, and ends, waits or fails where a test says so.
$ErrorActionPreference = 'Stop'
Import-Module "$PSScriptRoot/../../../../../functions/powershell/Modules/Automation.Bridge"

function Open-Effects {
    # One at a time, because a script cannot append in one step.
    while ($true) {
        try { return [IO.File]::Open($env:EFFECTS, 'OpenOrCreate', 'ReadWrite', 'None') } catch [IO.IOException] { Start-Sleep -Milliseconds 5 }
    }
}

function Add-Effect([string] $Invocation, [string] $Given) {
    # Writes the line "<invocation id> <what tells one delivery from another>", and returns how many the invocation has.
    $file = Open-Effects
    try {
        $lines = @([IO.StreamReader]::new($file).ReadToEnd().Split("`n").Where({ $_.StartsWith("$Invocation ") }))
        $file.Write([Text.Encoding]::UTF8.GetBytes("$Invocation $Given`n"))
    }
    finally { $file.Dispose() }
    return $lines.Count + 1
}

function Invoke-Counted([string] $Invocation, [string] $Given, $Order) {
    # One effect. The first one of an invocation may be its process's last, or wait until the test says go.
    $count = Add-Effect $Invocation $Given
    if ($count -eq 1 -and $Order['ends']) { Stop-Process -Id $PID -Force }
    while ($count -eq 1 -and $Order['waits'] -and -not (Test-Path "$(Split-Path $env:EFFECTS)/go")) { Start-Sleep -Milliseconds 20 }
    foreach ($text in $Order['writes']) { Write-Error $text -ErrorAction Continue }
    if ($Order['throws']) { throw @{ code = 'TalkedInto'; message = $Order['throws']; retriable = $false } }
    return @{ count = $count }
}
