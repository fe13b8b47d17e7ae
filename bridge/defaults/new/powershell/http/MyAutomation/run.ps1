param($Request)

Invoke-Automation $Request -Path "$PSScriptRoot/Invoke-MyAutomation.ps1"
