function Resume-AutomationDeadLetter {
    <#
    .SYNOPSIS
    Publishes the event of a dead letter again (role admin).
    .DESCRIPTION
    Each call is a new replay. With -Number it is that replay, however often it is asked for.
    .PARAMETER Id
    Of the dead letter; dead letters from the pipeline have it.
    .PARAMETER Number
    Which replay of this dead letter it is, from 1.
    .OUTPUTS
    Automation.Bridge.DeadLetter
    .EXAMPLE
    Get-AutomationDeadLetter -Name user.create | Resume-AutomationDeadLetter -Number 1
    #>
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(Mandatory, Position = 0, ValueFromPipeline, ValueFromPipelineByPropertyName)] [string] $Id,
        [ValidateRange(1, 2147483647)] [int] $Number
    )
    process {
        if (-not $PSCmdlet.ShouldProcess($Id, 'Publish the event again')) { return }
        $query = $PSBoundParameters.ContainsKey('Number') ? "?number=$Number" : ''
        try { ConvertTo-View (Invoke-BridgeApi POST "/v1/deadletters/$(Get-Escaped $Id)/replay$query").Body 'Automation.Bridge.DeadLetter' }
        catch { Write-ApiError $PSCmdlet $_ $Id }
    }
}
