param($message)

Invoke-Automation $message -Path "$PSScriptRoot/Invoke-MyAutomation.ps1"
