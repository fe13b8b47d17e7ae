# The bridge's side of a running invocation: progress is reported there, and each of its answers says whether the run was canceled.

$script:AskEvery = 1000  #: milliseconds
$script:ReportEvery = 500  #: milliseconds
$script:QuietAfterTrouble = 10000  #: milliseconds
$script:LargestAnswer = 65536  #: bytes
$script:Http = $null

function Get-InvocationClient {
    # Without redirects or proxies: the token goes to the address that came with it and nowhere else. Without a propagator, because looks at the
    # status of a run are in no trace.
    if ($null -eq $script:Http) {
        $handler = [System.Net.Http.SocketsHttpHandler]::new()
        $handler.AllowAutoRedirect = $false
        $handler.UseProxy = $false
        $handler.ActivityHeadersPropagator = $null
        $script:Http = [System.Net.Http.HttpClient]::new($handler)
        $script:Http.Timeout = [timespan]::FromSeconds(2)
        $script:Http.MaxResponseContentBufferSize = $script:LargestAnswer
    }
    return $script:Http
}

function Send-Invocation([object] $Invocation, [string] $Method, [System.Collections.IDictionary] $Data) {
    # Asks or tells the bridge. Trouble does not end the work: after it the bridge is left alone for a while.
    if (-not $Invocation.Url -or [System.Environment]::TickCount64 -lt $Invocation.QuietUntil) { return }
    try {
        $answer = Invoke-InvocationUrl $Invocation $Method $Data
        if ($answer -is [System.Collections.IDictionary] -and $answer['canceled'] -eq $true) { $Invocation.Canceled = $true }
    }
    catch {
        $Invocation.QuietUntil = [System.Environment]::TickCount64 + $script:QuietAfterTrouble
        $reason = Hide-Secret $_.Exception.GetBaseException().Message $Invocation.Token
        Write-Warning "The bridge could not be reached for progress and cancel, and the work goes on: $reason"
    }
}

function Invoke-InvocationUrl([object] $Invocation, [string] $Method, [System.Collections.IDictionary] $Data) {
    $address = [uri] $Invocation.Url
    if (-not $address.IsAbsoluteUri -or $address.Scheme -notin 'http', 'https') { throw "$(Limit-Text $Invocation.Url) is not an http or https address." }
    $request = [System.Net.Http.HttpRequestMessage]::new([System.Net.Http.HttpMethod]::new($Method), $address)
    try {
        [void] $request.Headers.TryAddWithoutValidation('x-invocation-token', $Invocation.Token)
        if ($null -ne $Data) {
            $request.Content = [System.Net.Http.StringContent]::new((ConvertTo-JsonText $Data), [System.Text.Encoding]::UTF8, 'application/json')
        }
        $response = (Get-InvocationClient).Send($request)
        try {
            if ([int] $response.StatusCode -notin 200, 202) { throw "it answered $([int] $response.StatusCode)" }
            return ConvertFrom-JsonText $response.Content.ReadAsStringAsync().GetAwaiter().GetResult()
        }
        finally { $response.Dispose() }
    }
    finally { $request.Dispose() }
}
