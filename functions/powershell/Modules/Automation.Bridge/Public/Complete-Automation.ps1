function Complete-Automation {
    <#
    .SYNOPSIS
    Says how an automation has ended, instead of leaving it to output and throw.
    .DESCRIPTION
    Within Invoke-Automation it sets the outcome; what the work writes to its output is then not used. It does not end the script: use return.
    With -CloudEvent it makes the result of a function that does not use Invoke-Automation, and pushes or returns it as Invoke-Automation does.
    .PARAMETER Output
    The output of the run.
    .PARAMETER ErrorCode
    One word by which programs know the error.
    .PARAMETER Message
    What happened, for people.
    .PARAMETER Hint
    What to do next.
    .PARAMETER Retriable
    Ask the bridge to send the work once more, if the catalogue allows it (`attempts`).
    .PARAMETER CloudEvent
    The message, where Invoke-Automation is not used.
    .PARAMETER OutputBinding
    With -CloudEvent: the output of the function that takes the result.
    .PARAMETER PassThru
    With -CloudEvent: return the result event as JSON and push nothing.
    .OUTPUTS
    None, or the JSON text of the result event.
    .EXAMPLE
    Complete-Automation -ErrorCode NoSuchUser -Message "There is no user $name." -Hint 'Use the short name.'
    .EXAMPLE
    Complete-Automation -CloudEvent $message -Output @{ users = @($users) }
    #>
    [CmdletBinding(DefaultParameterSetName = 'Succeeded')]
    [OutputType([string])]
    param(
        [Parameter(Position = 0, ParameterSetName = 'Succeeded')] [AllowNull()] [object] $Output,
        [Parameter(Mandatory, ParameterSetName = 'Failed')] [ValidatePattern('^[A-Za-z_][\w.-]{0,99}$')] [string] $ErrorCode,
        [Parameter(Mandatory, ParameterSetName = 'Failed')] [string] $Message,
        [Parameter(ParameterSetName = 'Failed')] [string] $Hint = '',
        [Parameter(ParameterSetName = 'Failed')] [switch] $Retriable,
        [object] $CloudEvent,
        [string] $OutputBinding = '',
        [switch] $PassThru
    )
    $invocation = $null -ne $CloudEvent ? (ConvertTo-Invocation $CloudEvent) : $script:Current
    if ($null -eq $invocation) {
        throw (New-Failure 'NoInvocation' 'No automation is running here.' 'Call it within Invoke-Automation, or give the message with -CloudEvent.')
    }
    $data = if ($PSCmdlet.ParameterSetName -eq 'Failed') {
        $error_ = [ordered]@{ code = $ErrorCode; message = Hide-Secret $Message $invocation.Token }
        if ($Hint) { $error_.hint = Hide-Secret $Hint $invocation.Token }
        $error_.retriable = [bool] $Retriable
        New-FailureData $error_
    }
    else { New-OutcomeData $Output }
    if ($null -eq $CloudEvent) { $invocation.Outcome = $data; return }
    $binding = $PassThru ? '' : ($OutputBinding ? $OutputBinding : (Find-ResultBinding $MyInvocation.PSScriptRoot $invocation))
    Send-Result $invocation $data $binding
}
