function Get-AutomationDeadLetter {
    <#
    .SYNOPSIS
    Shows events that led nowhere (role admin): one by its id, or a list, newest first.
    .PARAMETER Id
    Of the dead letter.
    .PARAMETER Name
    Dead letters of this automation only; completes.
    .PARAMETER Reason
    Dead letters with this reason only, for example GaveUp.
    .PARAMETER First
    At most so many.
    .OUTPUTS
    Automation.Bridge.DeadLetter
    .EXAMPLE
    Get-AutomationDeadLetter -Reason GaveUp | Resume-AutomationDeadLetter -WhatIf
    #>
    [CmdletBinding(DefaultParameterSetName = 'List')]
    param(
        [Parameter(Mandatory, Position = 0, ParameterSetName = 'One', ValueFromPipelineByPropertyName)] [string] $Id,
        [Parameter(ParameterSetName = 'List')] [Alias('Automation')] [string] $Name = '',
        [Parameter(ParameterSetName = 'List')] [string] $Reason = '',
        [Parameter(ParameterSetName = 'List')] [ValidateRange(1, 100000)] [int] $First = 100
    )
    process {
        try {
            if ($Id) { ConvertTo-View (Invoke-BridgeApi GET "/v1/deadletters/$(Get-Escaped $Id)").Body 'Automation.Bridge.DeadLetter'; return }
            Get-PagedItem '/v1/deadletters' ([ordered]@{ reason = $Reason; automation = $Name }) $First |
                ForEach-Object { ConvertTo-View $_ 'Automation.Bridge.DeadLetter' }
        }
        catch [System.Management.Automation.PipelineStoppedException] { throw }
        catch { Write-ApiError $PSCmdlet $_ $Id }
    }
}
