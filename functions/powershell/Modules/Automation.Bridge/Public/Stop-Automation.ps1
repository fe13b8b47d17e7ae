function Stop-Automation {
    <#
    .SYNOPSIS
    Asks a run to stop.
    .PARAMETER CorrelationId
    Of the run; runs from the pipeline have it.
    .OUTPUTS
    Automation.Bridge.Run
    .EXAMPLE
    Get-AutomationRun -Name files.retention -Status Running | Stop-Automation
    #>
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)] [string] $CorrelationId)
    process {
        if (-not $PSCmdlet.ShouldProcess($CorrelationId, 'Stop the run')) { return }
        try { ConvertTo-RunView (Invoke-BridgeApi DELETE "/v1/requests/$(Get-Escaped $CorrelationId)").Body }
        catch { Write-ApiError $PSCmdlet $_ $CorrelationId }
    }
}
