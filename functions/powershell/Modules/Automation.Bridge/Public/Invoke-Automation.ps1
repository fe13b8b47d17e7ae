function Invoke-Automation {
    <#
    .SYNOPSIS
    Does the work of an automation and makes the result that the bridge waits for.
    .DESCRIPTION
    Reads the automation.invoked event of a message, runs a script block or an existing script with its input, and sends one automation.result event:
    what the work wrote to its output, or what it threw. Work that is past its deadline is refused without being started.

    In a function with one Service Bus output the result is pushed to that output. Elsewhere, as at a prompt, it is returned as one line of JSON.

    Given the request of an HTTP function, it does the same with the body as input, and the result is the response.

    While it runs, Write-Progress of the script becomes progress of the run, and Test-AutomationCanceled says whether the run was canceled. Write-Host
    and all other streams stay the log.

    Work that belongs to a trace is done in a span of that trace, so that Invoke-RestMethod and whatever else uses HttpClient carry it on. Where
    OTEL_EXPORTER_OTLP_ENDPOINT is set, the span goes to that collector after the end of the work.
    .PARAMETER CloudEvent
    The message: the table that the Service Bus trigger hands over, or the JSON text of the event. Or the request of an HTTP trigger.
    .PARAMETER ScriptBlock
    The work. It gets the input as its first argument. Text in the input that looks like a date is text.
    .PARAMETER Path
    An existing script. Each field of the input is given to the parameter of that name, with the parameter's type; a field without one is refused.
    .PARAMETER OutputBinding
    The output of the function that takes the result, where it has several or its function.json is not beside the script.
    .PARAMETER PassThru
    Return the result and push nothing.
    .OUTPUTS
    None; the JSON text of the result event; or a table with the response.
    .EXAMPLE
    Invoke-Automation $message { param($in) @{ free = (Get-PSDrive $in.drive).Free } }

    The whole run.ps1 of a function, after `param($message)`.
    .EXAMPLE
    Invoke-Automation $message -Path "$PSScriptRoot/old.ps1"

    An existing script as it is.
    .EXAMPLE
    Invoke-Automation $message { throw @{ code = 'NoSuchUser'; message = 'There is no user Ada.'; hint = 'Use the short name.'; retriable = $false } }

    How to say what went wrong. Any other exception is told with its message, script and line.
    #>
    [CmdletBinding(DefaultParameterSetName = 'Block')]
    [OutputType([string])]
    param(
        [Parameter(Mandatory, Position = 0)] [AllowNull()] [object] $CloudEvent,
        [Parameter(Mandatory, Position = 1, ParameterSetName = 'Block')] [scriptblock] $ScriptBlock,
        [Parameter(Mandatory, ParameterSetName = 'Path')] [string] $Path,
        [string] $OutputBinding = '',
        [switch] $PassThru
    )
    $invocation = ConvertTo-Invocation $CloudEvent
    $binding = $PassThru ? '' : ($OutputBinding ? $OutputBinding : (Find-ResultBinding $MyInvocation.PSScriptRoot $invocation))
    $outer = $script:Current
    $script:Current = $invocation
    $data = New-FailureData ([ordered]@{
            code = 'Exited'; message = 'The script has ended itself with exit.'; hint = 'Use return to end early, and throw to fail.'; retriable = $false
        })
    Start-InvocationSpan $invocation $MyInvocation.PSScriptRoot
    try { $data = Get-Outcome $invocation $PSCmdlet.SessionState $ScriptBlock $Path }
    catch [System.Management.Automation.PipelineStoppedException] { throw }
    catch { $data = New-FailureData (ConvertTo-ErrorData (Get-InnerRecord $_) $invocation.Token) }
    finally {
        # `exit` in a block cannot be caught and ends the function: this is the last moment at which the bridge can be told.
        $script:Current = $outer
        try { if (-not $PSCmdlet.Stopping) { Send-Result $invocation $data $binding } }
        finally { Stop-InvocationSpan $invocation (Get-ErrorType $data $PSCmdlet) }
    }
}

function Get-Outcome([object] $Invocation, [System.Management.Automation.SessionState] $Caller, [scriptblock] $Block, [string] $Path) {
    # The data of the result. Throws what the work throws.
    if ($null -ne $Invocation.Deadline -and $Invocation.Deadline -le [System.DateTimeOffset]::UtcNow) {
        throw (New-Failure 'DeadlinePassed' "The work was not started: its deadline $($Invocation.Deadline.UtcDateTime.ToString('u')) has passed.")
    }
    $file = $Path ? $Caller.Path.GetUnresolvedProviderPathFromPSPath($Path) : ''
    $arguments = $file ? (Get-ScriptArguments $file $Invocation.Input) : @(, $Invocation.Input)
    $state = @{ Failed = $false; Code = 0 }
    try { $written = Invoke-InCaller $Caller ($file ? $file : $Block) $arguments $state }
    catch {
        $record = Get-InnerRecord $_
        if ($file -and (Test-BindingFailure $record $file)) { throw (New-Failure 'InvalidInput' $record.Exception.Message) }
        throw
    }
    if ($file -and $state.Failed -and $state.Code -ne 0) {
        $message = "$([System.IO.Path]::GetFileName($file)) ended with exit code $($state.Code)."
        throw (New-Failure 'ExitCode' $message 'Its log says why; a throw would say it here.')
    }
    if ($null -ne $Invocation.Outcome) { return $Invocation.Outcome }
    # As for any command: nothing, the one object, or all of them. An array that was written whole (`, $list`) is one object.
    if ($written.Count -gt 1) { return New-OutcomeData @($written) }
    return New-OutcomeData ($written.Count -eq 1 ? $written[0] : $null)
}

function Invoke-InCaller([System.Management.Automation.SessionState] $Caller, [object] $Work, [object] $Arguments, [hashtable] $State) {
    # Runs the work among the caller's functions, variables and preferences, not the module's, and gives what it wrote. Only Write-Progress is another.
    # The loop is there for a stray break or continue, which would otherwise end the loops of whoever called.
    # A scope of its own, because InvokeScript makes none; and an object before all others, because it takes a single array apart.
    $frame = [scriptblock]::Create('& {
        param($__work, $__arguments, $__progress, $__state)
        ${function:Write-Progress} = $__progress
        $global:LASTEXITCODE = 0
        $true
        do { & $__work @__arguments; $__state.Failed = -not $?; $__state.Code = $global:LASTEXITCODE } while ($false) } @args')
    $module = $ExecutionContext.SessionState.Module
    $progress = $module.NewBoundScriptBlock({
            [CmdletBinding()]
            param([Parameter(Position = 0)] [string] $Activity = '', [Parameter(Position = 1)] [string] $Status = '', [Parameter(Position = 2)] [int] $Id,
                [int] $PercentComplete = -1, [int] $SecondsRemaining, [string] $CurrentOperation, [int] $ParentId, [switch] $Completed, [int] $SourceId)
            if (-not $Completed -and $ParentId -le 0) { Send-Progress $PercentComplete (@($Activity, $Status).Where({ $_ }) -join ': ') }
        })
    $written = $Caller.InvokeCommand.InvokeScript($Caller, $frame, @($Work, $Arguments, $progress, $State))
    $written.RemoveAt(0)
    return , $written
}

function Send-Result([object] $Invocation, [System.Collections.IDictionary] $Data, [string] $Binding) {
    $result = $null -eq $Invocation.Attributes ? (ConvertTo-Response $Data) : (ConvertTo-ResultEvent $Invocation $Data)
    if ($Binding) { Push-OutputBinding -Name $Binding -Value $result } else { $result }
}
