$ErrorActionPreference = 'Stop'
Import-Module "$PSScriptRoot/../../../../functions/powershell/Modules/Automation.Bridge"

function Add-Line([string] $Path, [string] $Line) {
    # One at a time, because a script cannot append in one step.
    while ($true) {
        try { $file = [IO.File]::Open($Path, 'Append', 'Write', 'None'); break } catch [IO.IOException] { Start-Sleep -Milliseconds 5 }
    }
    try { $file.Write([Text.Encoding]::UTF8.GetBytes("$Line`n")) } finally { $file.Dispose() }
}
