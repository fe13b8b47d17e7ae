# What callers get: objects with a type name, to which Automation.Bridge.Format.ps1xml gives a table. Times are [datetime], input and output as sent.

$script:Final = 'Succeeded', 'Failed', 'Canceled', 'TimedOut'

function ConvertTo-RunView([System.Collections.IDictionary] $Run) {
    $view = ConvertTo-View $Run 'Automation.Bridge.Run'
    $view.psobject.Properties.Add([System.Management.Automation.PSNoteProperty]::new('Percent', ($Run['progress'] ? $Run['progress']['percent'] : $null)))
    return $view
}

function ConvertTo-View([System.Collections.IDictionary] $Table, [string] $TypeName) {
    # The names of the API with a capital letter at the start, as PowerShell has it.
    $view = [pscustomobject]@{ PSTypeName = $TypeName }
    foreach ($key in @($Table.Keys)) {
        $name = [char]::ToUpperInvariant($key[0]) + $key.Substring(1)
        $value = $key -in 'createdAt', 'updatedAt', 'deadline', 'expiresAt', 'keptAt' ? (ConvertTo-Time $Table[$key]) : (ConvertTo-Object $Table[$key])
        $view.psobject.Properties.Add([System.Management.Automation.PSNoteProperty]::new($name, $value))
    }
    return $view
}

function ConvertTo-Time([string] $Text) {
    $moment = ConvertTo-Moment $Text
    return $null -eq $moment ? $null : $moment.LocalDateTime
}

function ConvertTo-Object([object] $Value) {
    # Dictionaries as objects, where their names allow it.
    if ($Value -is [System.Collections.IDictionary]) {
        $object = [pscustomobject]@{}
        foreach ($key in @($Value.Keys)) {
            if (-not $key -or $object.psobject.Properties[$key]) { return $Value }
            $object.psobject.Properties.Add([System.Management.Automation.PSNoteProperty]::new($key, (ConvertTo-Object $Value[$key])))
        }
        return $object
    }
    if ($Value -is [array]) { return , @($Value.ForEach({ ConvertTo-Object $_ })) }
    return $Value
}
