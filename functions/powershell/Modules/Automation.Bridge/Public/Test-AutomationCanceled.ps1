function Test-AutomationCanceled {
    <#
    .SYNOPSIS
    Whether the running automation was canceled or is out of time, so that the script can clean up and stop.
    .DESCRIPTION
    The bridge is asked at most once a second, so it may be called in every turn of a loop. Once canceled, an invocation stays so. A bridge that cannot
    be reached does not stop the work.
    .OUTPUTS
    System.Boolean
    .EXAMPLE
    foreach ($user in $users) { if (Test-AutomationCanceled) { throw @{ code = 'Canceled'; message = 'Stopped.' } }; ... }
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param()
    $invocation = $script:Current
    if ($null -eq $invocation) { return $false }
    $now = [System.Environment]::TickCount64
    if (-not $invocation.Canceled -and $now -ge $invocation.AskAt) {
        $invocation.AskAt = $now + $script:AskEvery
        Send-Invocation $invocation GET $null
    }
    $late = $null -ne $invocation.Deadline -and $invocation.Deadline -le [System.DateTimeOffset]::UtcNow
    return $invocation.Canceled -or $late
}
