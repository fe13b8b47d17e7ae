function Submit-Automation {
    <#
    .SYNOPSIS
    Asks for an automation, and waits for its end if you wish.
    .DESCRIPTION
    Gives the run once the bridge has it safely. With -Wait it shows progress, asks as often as the bridge wants (Retry-After), and gives the run as it
    ended; one that did not succeed is an error too.
    .PARAMETER Name
    Of the automation; completes.
    .PARAMETER InputObject
    The input: a hashtable, an object, or JSON text of an object. Each object of the pipeline is a request of its own.
    .PARAMETER CorrelationId
    Your own id for the request; the same id with the same input never runs twice. Without one the module makes it.
    .PARAMETER Deadline
    When the run must have ended; it can only shorten what the catalogue allows.
    .PARAMETER Wait
    Wait for the end.
    .PARAMETER TimeoutSec
    The longest wait in seconds; the run goes on after it. 0 waits as long as the run may take.
    .OUTPUTS
    Automation.Bridge.Run
    .EXAMPLE
    Submit-Automation host.inventory @{ top = 5 } -Wait
    .EXAMPLE
    Import-Csv users.csv | Submit-Automation user.create -Wait | Where-Object Status -eq Succeeded
    .EXAMPLE
    $request = @{ Name = 'files.retention'; InputObject = @{ path = 'logs'; olderThanDays = 30 }; CorrelationId = 'order-4711' }
    Submit-Automation @request
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory, Position = 0)] [string] $Name,
        [Parameter(Position = 1, ValueFromPipeline)] [AllowNull()] [object] $InputObject = @{},
        [string] $CorrelationId,
        [datetime] $Deadline,
        [switch] $Wait,
        [ValidateRange(0, 2147483)] [int] $TimeoutSec = 0
    )
    process {
        $id = $CorrelationId ? $CorrelationId : "$([guid]::NewGuid())"
        $headers = @{ 'x-correlation-id' = $id }
        if ($PSBoundParameters.ContainsKey('Deadline')) { $headers['x-deadline'] = $Deadline.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ss.fffZ') }
        try {
            $body = $InputObject -is [string] -and $InputObject.TrimStart().StartsWith('{') ? $InputObject : (ConvertTo-JsonText $InputObject)
            $answer = Invoke-BridgeApi POST "/v1/automations/$(Get-Escaped $Name)/requests" -Headers $headers -Body $body
            if ($Wait) { Wait-Run $PSCmdlet $answer $TimeoutSec } else { ConvertTo-RunView $answer.Body }
        }
        catch [System.Management.Automation.PipelineStoppedException] { throw }
        catch [System.Management.Automation.ActionPreferenceStopException] { throw }
        catch { Write-ApiError $PSCmdlet $_ $Name }
    }
}

#: How often in a row a bridge may be away while a run is followed: it is being started again.
$script:Patience = 15

function Wait-Run([System.Management.Automation.PSCmdlet] $Cmdlet, [hashtable] $Answer, [int] $TimeoutSec) {
    # Follows the run of an answer to its end, or as long as the time lasts, and gives it as it was last seen.
    $until = $TimeoutSec -gt 0 ? [System.Environment]::TickCount64 + 1000L * $TimeoutSec : [long]::MaxValue
    $run = $Answer.Body
    $misses = 0
    $activity = "$($run['automation']) $($run['correlationId'])"
    while ($run['status'] -notin $script:Final -and [System.Environment]::TickCount64 -lt $until) {
        $progress = $run['progress'] ? $run['progress'] : @{}
        $share = $null -ne $progress['percent'] ? [int] $progress['percent'] : -1
        Write-Progress -Activity $activity -Status "$($run['status']) $($progress['message'])".Trim() -PercentComplete $share
        Start-Sleep -Milliseconds (Get-Pause $Answer.RetryAfter $until)
        try { $Answer = Invoke-BridgeApi GET "/v1/requests/$(Get-Escaped $run['correlationId'])"; $misses = 0 }
        catch { if ("$($_.Exception.Data['code'])" -ne 'Unreachable' -or ++$misses -gt $script:Patience) { throw } }
        $run = $Answer.Body
    }
    Write-Progress -Activity $activity -Completed
    ConvertTo-RunView $run
    if ($run['status'] -in 'Failed', 'TimedOut', 'Canceled') { Write-ApiError $Cmdlet (New-RunError $run) $run['correlationId'] }
}

function Get-Pause([object] $RetryAfter, [long] $Until) {
    # Milliseconds: what the bridge asks for, at least a little, at most the time that is left.
    $wanted = $null -eq $RetryAfter ? 1000L : [System.Math]::Max(100L, 1000L * $RetryAfter)
    return [int] [System.Math]::Min([System.Math]::Min($wanted, 2147483000L), [System.Math]::Max(0L, $Until - [System.Environment]::TickCount64))
}

function New-RunError([System.Collections.IDictionary] $Run) {
    $error_ = $Run['error'] ? $Run['error'] : @{ code = $Run['status']; message = "The run $($Run['correlationId']) is $($Run['status'])." }
    $failure = New-Failure "$($error_['code'])" "$($error_['message'])" "$($error_['hint'])"
    return [System.Management.Automation.ErrorRecord]::new($failure, "$($error_['code'])", 'OperationStopped', $Run['correlationId'])
}
