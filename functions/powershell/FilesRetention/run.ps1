# files.retention. The work is in Remove-OldFile.ps1, a script that can be run at a prompt just as well and knows nothing of the bridge.
param($message)

Invoke-Automation $message -Path "$PSScriptRoot/Remove-OldFile.ps1"
