# The module in two halves: for functions (the invocation that runs) and for callers (the HTTP API). Neither changes the preferences of its caller.
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

#: The invocation that Invoke-Automation is running in this runspace; $null outside of one.
$script:Current = $null
#: The bridge that Connect-Bridge has found: its address, token, and the names of its automations.
$script:Connection = $null

foreach ($part in 'Json', 'Failure', 'Invocation', 'Request', 'InvocationUrl', 'ScriptInput', 'Trace', 'SpanExport', 'BridgeApi', 'Views') {
    . "$PSScriptRoot/Private/$part.ps1"
}
foreach ($command in 'Complete-Automation', 'Connect-Bridge', 'Get-AutomationDeadLetter', 'Get-AutomationRun', 'Invoke-Automation',
    'Restart-Automation', 'Resume-AutomationDeadLetter', 'Stop-Automation', 'Submit-Automation', 'Test-AutomationCanceled',
    'Write-AutomationProgress') {
    . "$PSScriptRoot/Public/$command.ps1"
}
Register-ArgumentCompleter -CommandName Submit-Automation, Get-AutomationRun, Get-AutomationDeadLetter -ParameterName Name -ScriptBlock {
    param($commandName, $parameterName, $wordToComplete)
    Get-AutomationName | Where-Object { $_ -like "$wordToComplete*" }
}
