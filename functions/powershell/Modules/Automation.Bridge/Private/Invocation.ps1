# The two events of a function behind a topic: it receives `automation.invoked` and sends `automation.result`. Request.ps1 is the same over HTTP.

#: Attributes by which the bridge recognises the run that a result belongs to, and those that are copied beside them.
$script:Required = 'id', 'subject', 'correlationid', 'invocationtoken'
$script:Copied = 'traceparent', 'tracestate'

function ConvertTo-Invocation([object] $CloudEvent) {
    # The invocation that a message is. Throws where it is none: no result can be sent, and after its last delivery the message is a dead letter.
    if (Test-Request $CloudEvent) { return ConvertTo-RequestInvocation $CloudEvent }
    $attributes = Read-Event $CloudEvent
    if ("$($attributes['type'])" -cne 'automation.invoked') {
        $message = "The message is a '$(Limit-Text $attributes['type'])' event. Invoke-Automation takes automation.invoked."
        throw (New-Failure 'NotAnInvocation' $message 'Send the request to the bridge, not to this topic.')
    }
    $missing = @($script:Required.Where({ -not "$($attributes[$_])" }))
    if ($missing) {
        throw (New-Failure 'NotAnInvocation' "The event has no $($missing -join ', ')." 'Send the request to the bridge, not to this topic.')
    }
    $attributes['correlationid'] = Get-CorrelationId $attributes
    $known = @{
        Deadline = $attributes['expirytime']; Url = $attributes['invocationurl']; Token = $attributes['invocationtoken']
        Automation = $attributes['subject']; CorrelationId = $attributes['correlationid']
        Traceparent = $attributes['traceparent']; Tracestate = $attributes['tracestate']
    }
    return New-Invocation $attributes $attributes['data'] $known
}

function New-Invocation([System.Collections.IDictionary] $Attributes, [object] $Value, [hashtable] $Known) {
    # `Attributes` are those of the event, or nothing for a request; `Known` is what both have. Times are milliseconds of TickCount64.
    return [pscustomobject]@{
        Attributes = $Attributes; Input = $Value; Deadline = ConvertTo-Moment "$($Known.Deadline)"; Url = "$($Known.Url)"; Token = "$($Known.Token)"
        Automation = "$($Known['Automation'])"; CorrelationId = Limit-Text $Known.CorrelationId
        Traceparent = "$($Known.Traceparent)"; Tracestate = "$($Known.Tracestate)"; Span = $null
        Outcome = $null; Percent = 0.0; Canceled = $false; AskAt = 0L; ReportAt = 0L; QuietUntil = 0L
    }
}

function Get-CorrelationId([System.Collections.IDictionary] $Attributes) {
    # A worker turns text that looks like a date into a date, which an id may be. The event's id is `<correlationid>/<target>` and never looks like one.
    $id = "$($Attributes['id'])"
    $end = $id.LastIndexOf('/')
    return $end -gt 0 ? $id.Substring(0, $end) : "$($Attributes['correlationid'])"
}

function Read-Event([object] $CloudEvent) {
    $wanted = 'Give Invoke-Automation the message as the trigger hands it over, or its JSON text.'
    $read = $CloudEvent
    if ($CloudEvent -is [byte[]]) { $read = [System.Text.Encoding]::UTF8.GetString($CloudEvent) }
    if ($read -is [string]) {
        try { $read = ConvertFrom-JsonText $read }
        catch { throw (New-Failure 'NotAnInvocation' 'The message is not JSON.' $wanted) }
    }
    elseif ($null -ne $read) { $read = ConvertTo-Plain $read }
    if ($read -is [System.Collections.IDictionary]) { return $read }
    throw (New-Failure 'NotAnInvocation' 'The message is not a CloudEvent: it is no JSON object.' $wanted)
}

function ConvertTo-Moment([string] $Text) {
    $found = [System.DateTimeOffset]::MinValue
    $style = [System.Globalization.DateTimeStyles]::AssumeUniversal
    if ([System.DateTimeOffset]::TryParse($Text, [cultureinfo]::InvariantCulture, $style, [ref] $found)) { return $found }
    return $null
}

function Limit-Text([object] $Value) {
    $text = "$Value"
    return $text.Length -le 100 ? $text : $text.Substring(0, 100)
}

function ConvertTo-ResultEvent([object] $Invocation, [System.Collections.IDictionary] $Data) {
    # One complete CloudEvent as one line of JSON: an output binding carries a body and no properties, and of an array it makes several messages.
    $known = $Invocation.Attributes
    $result = [ordered]@{
        specversion = '1.0'; id = "$([guid]::NewGuid())"; source = "/$(Get-SiteName)"; type = 'automation.result'
        time = [datetime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ss.ffffffZ'); datacontenttype = 'application/json'
        subject = "$($known['subject'])"; correlationid = "$($known['correlationid'])"; causationid = "$($known['id'])"
        invocationtoken = $Invocation.Token
    }
    foreach ($name in $script:Copied) { if ($known[$name]) { $result[$name] = "$($known[$name])" } }
    $activity = Get-ActivityOfResult $Invocation
    # Before the span id stand version and trace.
    if ($null -ne $activity -and $activity.IdFormat -eq 'W3C' -and $result['traceparent'] -and $result['traceparent'].Contains("-$($activity.TraceId)-")) {
        $result['traceparent'] = $activity.Id
    }
    $result['data'] = $Data
    return ConvertTo-Json -InputObject $result -Depth 100 -Compress
}

function New-OutcomeData([object] $Output) {
    # A copy: what the script changes afterwards is not the output. What has no JSON form throws here, where it can become the error of the run.
    return [ordered]@{ status = 'succeeded'; output = (ConvertTo-Plain $Output) }
}

function New-FailureData([System.Collections.IDictionary] $ErrorData) { return [ordered]@{ status = 'failed'; error = $ErrorData } }

function Find-ResultBinding([string] $Folder, [object] $Invocation) {
    # The name of the one output of the function in this folder that takes the result; $null where there is none to push to.
    if (-not $Folder) { return $null }
    $file = [System.IO.Path]::Combine($Folder, 'function.json')
    if (-not [System.IO.File]::Exists($file) -or -not (Get-Command Push-OutputBinding -ErrorAction Ignore)) { return $null }
    $bindings = @((ConvertFrom-JsonText ([System.IO.File]::ReadAllText($file)))['bindings'])
    $kind = $null -eq $Invocation.Attributes ? 'http' : 'serviceBus'
    $outputs = @($bindings.Where({ $_['type'] -eq $kind -and $_['direction'] -eq 'out' }).ForEach({ $_['name'] }))
    if ($outputs.Count -gt 1) {
        throw (New-Failure 'SeveralOutputs' "The function has the $kind outputs $($outputs -join ', ')." 'Name the one for the result: -OutputBinding NAME.')
    }
    return $outputs.Count -eq 1 -and $outputs[0] -ne '$return' ? $outputs[0] : $null
}
