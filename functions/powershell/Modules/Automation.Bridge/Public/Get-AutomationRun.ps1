function Get-AutomationRun {
    <#
    .SYNOPSIS
    Shows runs: one by its correlation id, or a list, newest first.
    .PARAMETER CorrelationId
    Of the run.
    .PARAMETER Name
    Runs of this automation only; completes.
    .PARAMETER Status
    Runs with this status only.
    .PARAMETER Since
    Runs that were accepted since then.
    .PARAMETER First
    At most so many.
    .OUTPUTS
    Automation.Bridge.Run
    .EXAMPLE
    Get-AutomationRun order-4711 | Select-Object -ExpandProperty Output
    .EXAMPLE
    Get-AutomationRun -Status Failed -Since (Get-Date).AddDays(-1) | Restart-Automation
    #>
    [CmdletBinding(DefaultParameterSetName = 'List')]
    param(
        [Parameter(Mandatory, Position = 0, ParameterSetName = 'One', ValueFromPipeline, ValueFromPipelineByPropertyName)] [string] $CorrelationId,
        [Parameter(ParameterSetName = 'List')] [Alias('Automation')] [string] $Name = '',
        [Parameter(ParameterSetName = 'List')]
        [ValidateSet('Pending', 'Running', 'Canceling', 'Succeeded', 'Failed', 'Canceled', 'TimedOut')] [string] $Status,
        [Parameter(ParameterSetName = 'List')] [datetime] $Since,
        [Parameter(ParameterSetName = 'List')] [ValidateRange(1, 100000)] [int] $First = 100
    )
    process {
        try {
            if ($CorrelationId) { ConvertTo-RunView (Invoke-BridgeApi GET "/v1/requests/$(Get-Escaped $CorrelationId)").Body; return }
            $moment = $PSBoundParameters.ContainsKey('Since') ? $Since.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ss.fffZ') : ''
            $query = [ordered]@{ status = $Status; automation = $Name; since = $moment }
            Get-PagedItem '/v1/requests' $query $First | ForEach-Object { ConvertTo-RunView $_ }
        }
        catch [System.Management.Automation.PipelineStoppedException] { throw }
        catch { Write-ApiError $PSCmdlet $_ $CorrelationId }
    }
}
