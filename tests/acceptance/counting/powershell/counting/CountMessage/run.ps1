param($message)

$invocation, $given = $message['id'], ([datetime] $message['time']).ToString('o')
Invoke-Automation $message {
    param($in)
    if (Test-AutomationCanceled) { throw @{ code = 'Canceled'; message = 'The run was canceled before the work began.' } }
    Invoke-Counted $invocation $given $in
}
