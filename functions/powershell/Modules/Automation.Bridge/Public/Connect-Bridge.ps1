function Connect-Bridge {
    <#
    .SYNOPSIS
    Chooses the bridge that the other commands talk to.
    .DESCRIPTION
    Asks the bridge for its automations, so a wrong address or token is told here, and their names complete from then on. Without it the commands use
    BRIDGE_URL and BRIDGE_TOKEN, else http://127.0.0.1:8080.
    .PARAMETER Url
    Of the bridge.
    .PARAMETER Token
    A bearer token that the bridge knows, for example from Get-Secret or Read-Host -AsSecureString.
    .OUTPUTS
    Automation.Bridge.Connection, without the token.
    .EXAMPLE
    Connect-Bridge https://bridge.example -Token (Read-Host -AsSecureString)
    #>
    [CmdletBinding()]
    param(
        [Parameter(Position = 0)] [string] $Url = ($env:BRIDGE_URL ? $env:BRIDGE_URL : 'http://127.0.0.1:8080'),
        [securestring] $Token
    )
    if (-not $PSBoundParameters.ContainsKey('Token') -and $env:BRIDGE_TOKEN) { $Token = ConvertTo-SecureString $env:BRIDGE_TOKEN -AsPlainText -Force }
    try {
        $connection = New-Connection $Url $Token
        $connection.Names = Read-AutomationName $connection
    }
    catch { Write-ApiError $PSCmdlet $_ $Url; return }
    if ($null -ne $Token -and ([uri] $Url).Scheme -eq 'http' -and -not ([uri] $Url).IsLoopback) {
        Write-Warning "The token goes to $($connection.Url) without encryption. Use https where others can listen."
    }
    $script:Connection = $connection
    [pscustomobject]@{ PSTypeName = 'Automation.Bridge.Connection'; Url = $connection.Url; Automations = $connection.Names }
}
