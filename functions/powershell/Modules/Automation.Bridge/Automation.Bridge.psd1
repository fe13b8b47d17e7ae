@{
    RootModule           = 'Automation.Bridge.psm1'
    ModuleVersion        = '1.0.0'
    GUID                 = '5b0b9a0e-2f0c-4d2b-9a55-0c1d0a7f3e64'
    Author               = 'The Automation Bridge project'
    CompanyName          = 'The Automation Bridge project'
    Copyright            = '(c) The Automation Bridge project. Licence: see the project.'
    Description          = 'Turns a PowerShell script into an automation of the Automation Bridge, and asks the bridge for automations from a prompt.'
    PowerShellVersion    = '7.4'
    CompatiblePSEditions = @('Core')
    FormatsToProcess     = @('Automation.Bridge.Format.ps1xml')
    FunctionsToExport    = @(
        'Complete-Automation'
        'Connect-Bridge'
        'Get-AutomationDeadLetter'
        'Get-AutomationRun'
        'Invoke-Automation'
        'Restart-Automation'
        'Resume-AutomationDeadLetter'
        'Stop-Automation'
        'Submit-Automation'
        'Test-AutomationCanceled'
        'Write-AutomationProgress'
    )
    CmdletsToExport      = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
    PrivateData          = @{
        PSData = @{
            Tags         = @('Automation', 'AzureFunctions', 'CloudEvents', 'ServiceBus', 'Dapr', 'PSEdition_Core', 'Windows', 'Linux', 'MacOS')
            ReleaseNotes = 'See CHANGELOG.md of the project.'
        }
    }
}
