# Spans to a collector, by OTLP over HTTP with JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp), as OpenTelemetry's own variables say.

$script:LongestSending = [timespan]::FromSeconds(10)  #: as OTLP has it where nothing is said
$script:MostSendings = 8  #: under way at once in this runspace; what comes beyond them is dropped
$script:Sendings = [System.Collections.Generic.List[System.Threading.Tasks.Task[System.Net.Http.HttpResponseMessage]]]::new()
$script:SpanClient = $null
#: What is sent of a call. The path and the query of its address may be anything, so they are not.
$script:CallAttributes = 'http.request.method', 'http.response.status_code', 'server.address', 'server.port', 'network.protocol.version', 'error.type'

function Get-SpanExporter {
    # Where spans go and who sends them; $null where they are switched off, or where the variables name what is not here. The parent decides what
    # is recorded, as parentbased samplers have it, except where the sampler says never.
    $exporter = "$env:OTEL_TRACES_EXPORTER".Trim()
    if ("$env:OTEL_SDK_DISABLED".Trim() -eq 'true' -or $exporter -notin '', 'otlp' -or "$env:OTEL_TRACES_SAMPLER".Trim() -eq 'always_off') { return $null }
    $protocol = Get-FirstText $env:OTEL_EXPORTER_OTLP_TRACES_PROTOCOL $env:OTEL_EXPORTER_OTLP_PROTOCOL
    $base = Get-FirstText $env:OTEL_EXPORTER_OTLP_ENDPOINT ($exporter ? 'http://localhost:4318' : '')
    $url = Get-FirstText $env:OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ($base ? $base.TrimEnd('/') + '/v1/traces' : '')
    $address = $null
    if (-not $url -or $protocol -notin '', 'http/protobuf', 'http/json') { return $null }
    if (-not [uri]::TryCreate($url, [System.UriKind]::Absolute, [ref] $address) -or $address.Scheme -notin 'http', 'https') { return $null }
    $resource = Read-NamedText $env:OTEL_RESOURCE_ATTRIBUTES
    $service = Get-FirstText $env:OTEL_SERVICE_NAME (Get-FirstText $resource['service.name'] (Get-SiteName))
    $resource['service.name'] = $service
    $headers = Read-NamedText (Get-FirstText $env:OTEL_EXPORTER_OTLP_TRACES_HEADERS $env:OTEL_EXPORTER_OTLP_HEADERS)
    return @{ Address = $address; Headers = $headers; Resource = $resource }
}

function Get-FirstText([string] $First, [string] $Second) { return "$First".Trim() ? $First.Trim() : "$Second".Trim() }

function Get-SiteName { return $env:WEBSITE_SITE_NAME ? $env:WEBSITE_SITE_NAME : 'powershell-functions' }

function Read-NamedText([string] $Text) {
    # `name=value` between commas, each percent-encoded.
    $found = [ordered]@{}
    foreach ($pair in "$Text".Split(',')) {
        $name, $value = $pair.Split('=', 2)
        if ($name.Trim() -and $null -ne $value) { $found[[uri]::UnescapeDataString($name.Trim())] = [uri]::UnescapeDataString($value.Trim()) }
    }
    return $found
}

function ConvertTo-WorkSpan([object] $Invocation, [string] $ErrorType) {
    # The span of the function: neither input nor output, and of an error its code alone.
    $isMessage = $null -ne $Invocation.Attributes
    $attributes = [ordered]@{ 'faas.trigger' = $isMessage ? 'pubsub' : 'http' }
    if ($Invocation.Automation) { $attributes['bridge.automation'] = $Invocation.Automation }
    if ($Invocation.CorrelationId) {
        $attributes['bridge.correlation_id'] = $Invocation.CorrelationId
        $attributes['messaging.message.conversation_id'] = $Invocation.CorrelationId
    }
    if ($ErrorType) { $attributes['error.type'] = $ErrorType }
    $activity = $Invocation.Span.Activity
    return ConvertTo-OtlpSpan $activity $activity.OperationName ($isMessage ? 5 : 2) $attributes ([bool] $ErrorType)
}

function Receive-CallSpan {
    # The calls that the work has made and that have ended. Before .NET 9 HttpClient says nothing of a call but that it was there.
    $call = $null
    while ($script:Calls.Ended.TryDequeue([ref] $call)) {
        $attributes = [ordered]@{}
        foreach ($name in $script:CallAttributes) {
            $value = $call.GetTagItem($name)
            if ($null -ne $value) { $attributes[$name] = $value }
        }
        $name = $call.DisplayName -eq $call.OperationName ? 'HTTP' : $call.DisplayName
        ConvertTo-OtlpSpan $call $name 3 $attributes ($call.Status -eq 'Error')
    }
}

function ConvertTo-OtlpSpan([System.Diagnostics.Activity] $Activity, [string] $Name, [int] $Kind, [System.Collections.IDictionary] $Attributes, [bool] $IsError) {
    # `Kind` is a SpanKind of OTLP. Times are nanoseconds as text, because they are longer than the numbers of JSON.
    $start = ($Activity.StartTimeUtc - [datetime]::UnixEpoch).Ticks * 100
    $span = [ordered]@{
        traceId = "$($Activity.TraceId)"; spanId = "$($Activity.SpanId)"; parentSpanId = "$($Activity.ParentSpanId)"; name = $Name; kind = $Kind
        startTimeUnixNano = "$start"; endTimeUnixNano = "$($start + $Activity.Duration.Ticks * 100)"; attributes = ConvertTo-OtlpAttribute $Attributes
    }
    if ($Activity.TraceStateString) { $span['traceState'] = $Activity.TraceStateString }
    if ($IsError) { $span['status'] = @{ code = 2 } }
    return $span
}

function ConvertTo-OtlpAttribute([System.Collections.IDictionary] $Attributes) {
    $found = foreach ($entry in $Attributes.GetEnumerator()) {
        @{ key = "$($entry.Key)"; value = $entry.Value -is [int] ? @{ intValue = "$($entry.Value)" } : @{ stringValue = "$($entry.Value)" } }
    }
    return , @($found)
}

function Send-Span([hashtable] $Exporter, [object[]] $Spans) {
    # Leaves the sending to the threads of HttpClient. How it went is said when the next spans are sent, because nobody waits for it.
    Clear-Sending
    if ($script:Sendings.Count -ge $script:MostSendings) { Write-SpanTrouble "$($script:Sendings.Count) sendings are under way"; return }
    $scope = @{ name = 'Automation.Bridge'; version = "$($MyInvocation.MyCommand.Module.Version)" }
    $group = @{ resource = @{ attributes = ConvertTo-OtlpAttribute $Exporter.Resource }; scopeSpans = @(@{ scope = $scope; spans = $Spans }) }
    $form = [Microsoft.PowerShell.Commands.JsonObject+ConvertToJsonContext]::new(20, $false, $true)
    $text = [Microsoft.PowerShell.Commands.JsonObject]::ConvertToJson(@{ resourceSpans = @($group) }, [ref] $form)
    $request = [System.Net.Http.HttpRequestMessage]::new([System.Net.Http.HttpMethod]::Post, $Exporter.Address)
    $request.Content = [System.Net.Http.StringContent]::new($text, [System.Text.Encoding]::UTF8, 'application/json')
    foreach ($name in $Exporter.Headers.Keys) { [void] $request.Headers.TryAddWithoutValidation($name, [string] $Exporter.Headers[$name]) }
    $script:Sendings.Add((Get-SpanClient).SendAsync($request))
}

function Clear-Sending {
    foreach ($sending in @($script:Sendings).Where({ $_.IsCompleted })) {
        [void] $script:Sendings.Remove($sending)
        if (-not $sending.IsCompletedSuccessfully) { Write-SpanTrouble ($sending.IsCanceled ? 'there was no answer in time' : $sending.Exception.GetBaseException().GetType().Name) }
        else {
            if (-not $sending.Result.IsSuccessStatusCode) { Write-SpanTrouble "the collector answered $([int] $sending.Result.StatusCode)" }
            $sending.Result.Dispose()
        }
    }
}

function Get-SpanClient {
    # Without a propagator, so that sending spans makes none. It follows no redirect, because headers may hold a key.
    if ($null -eq $script:SpanClient) {
        $handler = [System.Net.Http.SocketsHttpHandler]::new()
        $handler.AllowAutoRedirect = $false
        $handler.ActivityHeadersPropagator = $null
        $script:SpanClient = [System.Net.Http.HttpClient]::new($handler)
        $script:SpanClient.Timeout = $script:LongestSending
    }
    return $script:SpanClient
}

function Write-SpanTrouble([string] $Reason) {
    # Not even a stopped pipeline, in which nothing may be written, makes this an error.
    try { Write-Verbose "Spans could not be sent: $Reason." } catch { return }
}
