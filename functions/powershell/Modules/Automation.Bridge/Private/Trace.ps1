# The span of a function's work, below the one that the bridge dispatched it with. While it is the current activity, HttpClient, and with it
# Invoke-RestMethod, sends `traceparent` along by itself. SpanExport.ps1 sends the span to a collector, if there is one.

#: The delegates of a listener, made once, and what they look at: whose calls are recorded, and where they go when they have ended.
$script:Calls = $null
#: Calls of one invocation that are kept until its end; those beyond are not recorded.
$script:MostCalls = 1000

function Start-InvocationSpan([object] $Invocation, [string] $Folder) {
    # Makes the activity, unless the work is in no trace, or somebody else's telemetry has made one in this trace, such as Microsoft's module.
    try {
        $parent = [System.Diagnostics.ActivityContext]::new([System.Diagnostics.ActivityTraceId]::new(), [System.Diagnostics.ActivitySpanId]::new(), 'None')
        if (-not [System.Diagnostics.ActivityContext]::TryParse($Invocation.Traceparent, $Invocation.Tracestate, $true, [ref] $parent)) { return }
        $current = [System.Diagnostics.Activity]::Current
        if ($null -ne $current -and $current.IdFormat -eq 'W3C' -and $current.TraceId -eq $parent.TraceId) { return }
        $activity = [System.Diagnostics.Activity]::new((Get-SpanName $Invocation $Folder))
        [void] $activity.SetIdFormat('W3C').SetParentId($parent.TraceId, $parent.SpanId, $parent.TraceFlags)
        $activity.TraceStateString = $parent.TraceState
        $Invocation.Span = @{ Activity = $activity.Start(); Exporter = $null; Listener = $null }
        $exporter = $activity.Recorded ? (Get-SpanExporter) : $null
        if ($null -eq $exporter) { return }
        $Invocation.Span.Listener = Start-CallListener $activity
        $Invocation.Span.Exporter = $exporter
    }
    catch { Write-SpanTrouble $_.Exception.GetBaseException().GetType().Name }
}

function Stop-InvocationSpan([object] $Invocation, [string] $ErrorType) {
    # Ends the activity and sends it. The function ends as it does without: nothing is thrown here, and nothing is waited for.
    $span = $Invocation.Span
    if ($null -eq $span) { return }
    try {
        $span.Activity.Stop()
        if ($null -eq $span.Exporter) { return }
        $span.Listener.Dispose()
        $spans = @(ConvertTo-WorkSpan $Invocation (Hide-Secret $ErrorType $Invocation.Token)) + @(Receive-CallSpan)
        Send-Span $span.Exporter $spans
    }
    catch { Write-SpanTrouble $_.Exception.GetBaseException().GetType().Name }
}

function Get-ActivityOfResult([object] $Invocation) {
    # What the result is below: the span of the work, if a collector gets it, else what the telemetry of somebody else has made.
    if ($null -eq $Invocation.Span) { return [System.Diagnostics.Activity]::Current }
    return $null -ne $Invocation.Span.Exporter ? $Invocation.Span.Activity : $null
}

function Get-SpanName([object] $Invocation, [string] $Folder) {
    # The name of the function, which is that of its folder; elsewhere, as at a prompt, the automation.
    if ($Folder -and [System.IO.File]::Exists([System.IO.Path]::Combine($Folder, 'function.json'))) { return [System.IO.Path]::GetFileName($Folder) }
    return $Invocation.Automation ? $Invocation.Automation : 'Invoke-Automation'
}

function Get-ErrorType([System.Collections.IDictionary] $Data, [System.Management.Automation.PSCmdlet] $Cmdlet) {
    # The code of what failed, which an author may have made up: anything but a word stays out of the span. Whether the work was stopped from
    # outside is known since 7.6; before, it looks like an exit.
    $token = $Cmdlet.psobject.Properties['PipelineStopToken']
    if ($null -ne $token -and $token.Value.IsCancellationRequested) { return 'PipelineStoppedException' }
    if ($null -eq $Data['error']) { return '' }
    $code = "$($Data['error']['code'])"
    return $code -match '^[A-Za-z_][\w.-]{0,99}$' ? $code : '_OTHER'
}

function Start-CallListener([System.Diagnostics.Activity] $Activity) {
    # Has HttpClient record the calls directly below the activity, so that whoever is called is below a span that the collector knows. What is
    # below an activity of the script is left to the telemetry that made it.
    if ($null -eq $script:Calls) { $script:Calls = New-CallDelegate }
    $script:Calls.Parent.Value = $Activity.SpanId
    $script:Calls.Ended.Clear()
    $listener = [System.Diagnostics.ActivityListener]::new()
    $listener.ShouldListenTo, $listener.Sample, $listener.ActivityStopped = $script:Calls.ShouldListenTo, $script:Calls.Sample, $script:Calls.ActivityStopped
    [System.Diagnostics.ActivitySource]::AddActivityListener($listener)
    return $listener
}

function New-CallDelegate {
    # Compiled expressions, because a script block cannot be called in the threads of HttpClient, which have no runspace.
    $make = [System.Linq.Expressions.Expression]
    $parent = [System.Runtime.CompilerServices.StrongBox[System.Diagnostics.ActivitySpanId]]::new()
    $ended = [System.Collections.Concurrent.ConcurrentQueue[System.Diagnostics.Activity]]::new()
    $wanted = $make::Field($make::Constant($parent), 'Value')
    $source = $make::Parameter([System.Diagnostics.ActivitySource], 'source')
    $isHttp = $make::Equal($make::Property($source, 'Name'), $make::Constant('System.Net.Http'))
    $options = $make::Parameter([System.Diagnostics.ActivityCreationOptions[System.Diagnostics.ActivityContext]].MakeByRefType(), 'options')
    $results = [System.Diagnostics.ActivitySamplingResult]
    $isBelow = $make::Equal($make::Property($make::Property($options, 'Parent'), 'SpanId'), $wanted)
    $sampled = $make::Condition($isBelow, $make::Constant($results::AllDataAndRecorded), $make::Constant($results::None))
    $activity = $make::Parameter([System.Diagnostics.Activity], 'activity')
    $hasRoom = $make::LessThan($make::Property($make::Constant($ended), 'Count'), $make::Constant($script:MostCalls))
    $isKept = $make::AndAlso($make::Equal($make::Property($activity, 'ParentSpanId'), $wanted), $hasRoom)
    $keep = $make::IfThen($isKept, $make::Call($make::Constant($ended), 'Enqueue', [type[]] @(), $activity))
    return @{
        Parent = $parent; Ended = $ended
        ShouldListenTo = $make::Lambda([Func[System.Diagnostics.ActivitySource, bool]], $isHttp, [System.Linq.Expressions.ParameterExpression[]] @($source)).Compile()
        Sample = $make::Lambda([System.Diagnostics.SampleActivity[System.Diagnostics.ActivityContext]], $sampled, [System.Linq.Expressions.ParameterExpression[]] @($options)).Compile()
        ActivityStopped = $make::Lambda([Action[System.Diagnostics.Activity]], $keep, [System.Linq.Expressions.ParameterExpression[]] @($activity)).Compile()
    }
}
