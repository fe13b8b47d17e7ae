# A function behind HTTP: the input is the body, the invocation stands in headers, and the result is the response.

function Test-Request([object] $Value) {
    # Whether this is what an HTTP trigger hands over.
    return $null -ne $Value -and $Value -isnot [System.Collections.IDictionary] -and
        $null -ne $Value.psobject.Properties['Headers'] -and $null -ne $Value.psobject.Properties['Body']
}

function ConvertTo-RequestInvocation([object] $Request) {
    $headers = @{}  # ignores case
    foreach ($entry in $Request.Headers.GetEnumerator()) { $headers["$($entry.Key)"] = "$($entry.Value)" }
    return New-Invocation $null (ConvertTo-Plain $Request.Body) @{
        Deadline = $headers['x-deadline']; Url = $headers['x-invocation-url']; Token = $headers['x-invocation-token']
        CorrelationId = $headers['x-correlation-id']; Traceparent = $headers['traceparent']; Tracestate = $headers['tracestate']
    }
}

function ConvertTo-Response([System.Collections.IDictionary] $Data) {
    # 200 with the output, or the error as the bridge reads it from the body of any other status.
    $failed = $Data['error']
    $status = if ($null -eq $failed) { 200 }
    elseif ($failed['code'] -eq 'InvalidInput') { 422 }
    elseif ($failed['code'] -eq 'DeadlinePassed') { 410 }
    else { 500 }
    $body = $null -eq $failed ? $Data['output'] : $failed
    return @{ StatusCode = $status; ContentType = 'application/json'; Body = (ConvertTo-Json -InputObject $body -Depth 100 -Compress) }
}
