# What the bridge is told of work that failed: code, message, hint, retriable.

function New-Failure([string] $Code, [string] $Message, [string] $Hint = '', [bool] $Retriable = $false) {
    # An exception that says all of it; `throw (New-Failure ...)`.
    $failure = [System.InvalidOperationException]::new($Message)
    $failure.Data['code'] = $Code
    $failure.Data['hint'] = $Hint
    $failure.Data['retriable'] = $Retriable
    $failure.Data['placeless'] = $true
    return $failure
}

function ConvertTo-ErrorData([System.Management.Automation.ErrorRecord] $Record, [string] $Secret) {
    # The error of a result, for what was thrown. An author says code, message, hint and retriable by what is thrown: a table, or an exception's Data.
    $cause = $Record.Exception
    $message = Get-Said $Record 'message'
    if (-not $message) { $message = $cause.Message }
    if (-not (Get-Said $Record 'placeless')) { $message += Get-Place $Record }
    $code = Get-Said $Record 'code'
    $data = [ordered]@{ code = [string] ($code ? $code : (Get-ErrorCode $Record)); message = Hide-Secret "$message" $Secret }
    if ($hint = Get-Said $Record 'hint') { $data.hint = Hide-Secret "$hint" $Secret }
    $data.retriable = (Get-Said $Record 'retriable') -eq $true
    return $data
}

function Hide-Secret([string] $Text, [string] $Secret) {
    return $Secret ? $Text.Replace($Secret, '(secret)') : $Text
}

function Get-Said([System.Management.Automation.ErrorRecord] $Record, [string] $Name) {
    foreach ($place in $Record.Exception.Data, $Record.TargetObject) {
        if ($null -eq $place) { continue }
        if ($place -is [System.Collections.IDictionary]) {
            foreach ($key in @($place.Keys)) { if ("$key" -eq $Name) { return $place[$key] } }
        }
        elseif ($place.psobject.BaseObject -is [System.Management.Automation.PSCustomObject] -and $place.psobject.Properties[$Name]) {
            return $place.$Name
        }
    }
    return $null
}

function Get-ErrorCode([System.Management.Automation.ErrorRecord] $Record) {
    # The error id without what the engine adds to it; the class of the exception where a script has thrown text, which is its own id.
    $id = "$($Record.FullyQualifiedErrorId)".Split(',')[0]
    if ($id -ne $Record.Exception.Message -and $id -match '^[A-Za-z_][\w.-]*$') { return $id.Split('.')[-1] }
    return $Record.Exception.GetType().Name
}

function Get-Place([System.Management.Automation.ErrorRecord] $Record) {
    $info = $Record.InvocationInfo
    if ($null -eq $info -or -not $info.ScriptName) { return '' }
    return " ($([System.IO.Path]::GetFileName($info.ScriptName)), line $($info.ScriptLineNumber))"
}

function Get-InnerRecord([System.Management.Automation.ErrorRecord] $Record) {
    # The error of the script itself: the call of a method wraps what came out of it, and the record of an exception does not lead back to it.
    $exception = $Record.Exception
    if ($exception -isnot [System.Management.Automation.MethodInvocationException] -or $null -eq $exception.InnerException) { return $Record }
    while ($exception -is [System.Management.Automation.MethodInvocationException] -and $null -ne $exception.InnerException) {
        $exception = $exception.InnerException
    }
    if ($exception -isnot [System.Management.Automation.RuntimeException]) {
        return [System.Management.Automation.ErrorRecord]::new($exception, $exception.GetType().Name, 'NotSpecified', $null)
    }
    $cause = $exception.GetType() -eq [System.Management.Automation.RuntimeException] -and $exception.InnerException ? $exception.InnerException : $exception
    return [System.Management.Automation.ErrorRecord]::new($exception.ErrorRecord, $cause)
}
