# The HTTP API of the bridge (its /openapi.json), for callers.

function Get-Connection {
    # The bridge of Connect-Bridge, else the one of BRIDGE_URL and BRIDGE_TOKEN, else the one on this machine.
    if ($null -ne $script:Connection) { return $script:Connection }
    $token = $env:BRIDGE_TOKEN ? (ConvertTo-SecureString $env:BRIDGE_TOKEN -AsPlainText -Force) : $null
    return New-Connection ($env:BRIDGE_URL ? $env:BRIDGE_URL : 'http://127.0.0.1:8080') $token
}

function New-Connection([string] $Url, [securestring] $Token) {
    $address = $null
    if (-not [uri]::TryCreate($Url, [System.UriKind]::Absolute, [ref] $address) -or $address.Scheme -notin 'http', 'https') {
        throw (New-Failure 'InvalidUrl' "$Url is not the address of a bridge." 'Write it like http://127.0.0.1:8080.')
    }
    if ($address.UserInfo) { throw (New-Failure 'InvalidUrl' 'The address has a user or password in it.' 'Give the token with -Token.') }
    return @{ Url = $Url.TrimEnd('/'); Token = $Token; Names = $null }
}

function Invoke-BridgeApi {
    # One call. Gives status, retryAfter (seconds, or $null) and body; throws the bridge's own problem with its code as error id.
    param([string] $Method, [string] $Path, [hashtable] $Headers = @{}, [AllowNull()] [string] $Body = $null, [hashtable] $Connection = (Get-Connection))
    $call = @{
        Method = $Method; Uri = $Connection.Url + $Path; Headers = @{ accept = 'application/json' } + $Headers
        SkipHttpErrorCheck = $true; MaximumRedirection = 0; TimeoutSec = 100; Verbose = $false; Debug = $false; ErrorAction = 'Stop'
        ProgressAction = 'SilentlyContinue'
    }
    if ($null -ne $Connection.Token) { $call += @{ Authentication = 'Bearer'; Token = $Connection.Token; AllowUnencryptedAuthentication = $true } }
    if ($Body) { $call += @{ Body = [System.Text.Encoding]::UTF8.GetBytes($Body); ContentType = 'application/json' } }
    try { $response = Invoke-WebRequest @call }
    catch {
        $reason = "No bridge answers at $($Connection.Url): $($_.Exception.GetBaseException().Message)"
        throw (New-Failure 'Unreachable' $reason 'Start it with `bridge up`, or give its address: Connect-Bridge URL.' $true)
    }
    $text = $response.Content -is [byte[]] ? [System.Text.Encoding]::UTF8.GetString($response.Content) : "$($response.Content)"
    $answer = try { ConvertFrom-JsonText $text } catch { $null }
    $status = [int] $response.StatusCode
    if ($status -ge 300) { throw (New-ApiProblem $status $answer $Connection.Url) }
    return @{ Status = $status; RetryAfter = ConvertTo-Seconds "$($response.Headers['Retry-After'])"; Body = $answer }
}

function New-ApiProblem([int] $Status, [object] $Answer, [string] $Url) {
    if ($Answer -isnot [System.Collections.IDictionary] -or -not $Answer['code']) {
        return New-Failure 'UnexpectedAnswer' "$Url answered $Status, and not as a bridge does." 'Is it the address of a bridge?'
    }
    $where = @(@($Answer['errors']).Where({ $_ }).ForEach({ "$($_['pointer']) $($_['detail'] ? $_['detail'] : $_['message'])".Trim() }))
    $message = @("$($Answer['detail'])") + $where -join ' '
    return New-Failure "$($Answer['code'])" $message "$($Answer['hint'])"
}

function ConvertTo-Seconds([string] $Text) {
    # Of a Retry-After: whole seconds or an HTTP date; $null for neither.
    [int] $seconds = 0
    if ([int]::TryParse($Text.Trim(), [System.Globalization.NumberStyles]::None, [cultureinfo]::InvariantCulture, [ref] $seconds)) { return $seconds }
    $moment = [System.DateTimeOffset]::MinValue
    $style = [System.Globalization.DateTimeStyles]::AssumeUniversal
    if ([System.DateTimeOffset]::TryParseExact($Text.Trim(), 'r', [cultureinfo]::InvariantCulture, $style, [ref] $moment)) {
        return [System.Math]::Max(0, [System.Math]::Ceiling(($moment - [System.DateTimeOffset]::UtcNow).TotalSeconds))
    }
    return $null
}

function Get-AutomationName {
    # For completion, which must neither fail nor ask again for each key.
    try {
        $connection = Get-Connection
        if ($null -eq $connection.Names) { $connection.Names = Read-AutomationName $connection }
        return $connection.Names
    }
    catch { return @() }
}

function Read-AutomationName([hashtable] $Connection) {
    return , @((Invoke-BridgeApi GET '/v1/automations' -Connection $Connection).Body['items'].ForEach({ $_['name'] }))
}

function Get-Escaped([string] $Text) { return [uri]::EscapeDataString($Text) }

function Get-PagedItem([string] $Path, [System.Collections.IDictionary] $Query, [int] $First) {
    # Items page after page, at most as many as are wanted.
    $left = $First
    $cursor = ''
    while ($left -gt 0) {
        $asked = [ordered]@{ limit = [System.Math]::Min($left, 100) } + $Query
        if ($cursor) { $asked['cursor'] = $cursor }
        $pairs = @($asked.Keys).Where({ "$($asked[$_])" }).ForEach({ "$_=$(Get-Escaped $asked[$_])" })
        $body = (Invoke-BridgeApi GET "${Path}?$($pairs -join '&')").Body
        foreach ($item in $body['items']) { $item; $left-- }
        $cursor = $body['nextCursor']
        if (-not $cursor) { return }
    }
}

function Write-ApiError([System.Management.Automation.PSCmdlet] $Cmdlet, [System.Management.Automation.ErrorRecord] $Record, [object] $Target) {
    # As an error of the command that was called, so that the next object of the pipeline has its turn. Whether it stops anything is the caller's
    # preference, which a module does not see by itself.
    $ErrorActionPreference = $Cmdlet.SessionState.PSVariable.GetValue('ErrorActionPreference', 'Continue')
    $exception = $Record.Exception
    $code = $exception.Data['code'] ? "$($exception.Data['code'])" : $Record.FullyQualifiedErrorId
    $text = $exception.Data['hint'] ? "$($exception.Message) $($exception.Data['hint'])" : $exception.Message
    $told = [System.Management.Automation.ErrorRecord]::new([System.InvalidOperationException]::new($text, $exception), $code, 'InvalidOperation', $Target)
    $Cmdlet.WriteError($told)
}
