function Restart-Automation {
    <#
    .SYNOPSIS
    Starts a new run like an old one.
    .PARAMETER CorrelationId
    Of the old run; runs from the pipeline have it.
    .PARAMETER InputObject
    Another input; without it that of the old run.
    .PARAMETER Wait
    Wait for the end of the new run, as Submit-Automation does.
    .PARAMETER TimeoutSec
    The longest wait in seconds; 0 waits as long as the run may take.
    .OUTPUTS
    Automation.Bridge.Run
    .EXAMPLE
    Restart-Automation order-4711 -Wait
    #>
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)] [string] $CorrelationId,
        [object] $InputObject,
        [switch] $Wait,
        [ValidateRange(0, 2147483)] [int] $TimeoutSec = 0
    )
    process {
        if (-not $PSCmdlet.ShouldProcess($CorrelationId, 'Start a new run like it')) { return }
        try {
            $body = $PSBoundParameters.ContainsKey('InputObject') ? (ConvertTo-JsonText $InputObject) : $null
            $answer = Invoke-BridgeApi POST "/v1/requests/$(Get-Escaped $CorrelationId)/rerun" -Body $body
            if ($Wait) { Wait-Run $PSCmdlet $answer $TimeoutSec } else { ConvertTo-RunView $answer.Body }
        }
        catch [System.Management.Automation.PipelineStoppedException] { throw }
        catch [System.Management.Automation.ActionPreferenceStopException] { throw }
        catch { Write-ApiError $PSCmdlet $_ $CorrelationId }
    }
}
