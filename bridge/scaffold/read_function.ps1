<#
.SYNOPSIS
Says as JSON which fields of a request or message a function's script reads. The script is parsed and never run.
#>
param([Parameter(Mandatory)] [string] $Path, [Parameter(Mandatory)] [string] $Parameter)

$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3
$uses = [Collections.Generic.List[object]]::new()
$notes = [Collections.Generic.List[string]]::new()
$known = @{ $Parameter = @{ kind = 'request' } }  # by the name of a variable: what it is of the request
$places = @{ Body = 'body'; Query = 'query'; Params = 'route'; Headers = 'header' }
$types = @{
    int = 'integer'; int32 = 'integer'; long = 'integer'; int64 = 'integer'; double = 'number'; decimal = 'number'; float = 'number'; single = 'number'
    bool = 'boolean'; boolean = 'boolean'; switch = 'boolean'; string = 'string'; datetime = 'string'; array = 'array'; hashtable = 'object'
    guid = 'string'; uri = 'string'; mailaddress = 'string'; pscustomobject = 'object'
}
$ownMembers = 'Count', 'Length', 'Keys', 'Values', 'PSObject', 'LongLength', 'IsFixedSize', 'SyncRoot'
$state = @{ event = $false; raw = $false }

function Read-Tree([string] $File) {
    $tokens = $errors = $null
    $tree = [Management.Automation.Language.Parser]::ParseFile($File, [ref]$tokens, [ref]$errors)
    if ($errors) { throw "line $($errors[0].Extent.StartLineNumber): $($errors[0].Message)" }
    $tree
}

function Get-JsonType([string] $Name) {
    if ($Name.EndsWith('[]')) { return 'array' }
    $types.Contains($Name.ToLowerInvariant()) ? $types[$Name.ToLowerInvariant()] : ''
}

function Get-Text([object] $Ast) {
    if ($Ast -is [Management.Automation.Language.StringConstantExpressionAst]) { $Ast.Value }
}

# What an expression is of the request: nothing, or @{ kind; place; path }.
function Get-Origin([object] $Ast) {
    switch ($Ast) {
        { $_ -is [Management.Automation.Language.VariableExpressionAst] } { return $known[$_.VariablePath.UserPath -replace '^(script|global|local):'] }
        { $_ -is [Management.Automation.Language.ConvertExpressionAst] } { return Get-Origin $_.Child }
        { $_ -is [Management.Automation.Language.ParenExpressionAst] } { return Get-Origin $_.Pipeline }
        { $_ -is [Management.Automation.Language.CommandExpressionAst] } { return Get-Origin $_.Expression }
        { $_ -is [Management.Automation.Language.BinaryExpressionAst] } { return (Get-Origin $_.Left) ?? (Get-Origin $_.Right) }
        { $_ -is [Management.Automation.Language.TernaryExpressionAst] } { return (Get-Origin $_.IfTrue) ?? (Get-Origin $_.IfFalse) }
        { $_ -is [Management.Automation.Language.PipelineAst] } { return Get-PipelineOrigin $_ }
        { $_ -is [Management.Automation.Language.InvokeMemberExpressionAst] } { return Get-CallOrigin $_ }
        { $_ -is [Management.Automation.Language.MemberExpressionAst] } { return Get-MemberOrigin (Get-Origin $_.Expression) (Get-Text $_.Member) }
        { $_ -is [Management.Automation.Language.IndexExpressionAst] } { return Get-MemberOrigin (Get-Origin $_.Target) (Get-Text $_.Index) }
    }
}

function Get-MemberOrigin([object] $Owner, [string] $Name) {
    if (-not $Owner -or -not $Name -or $Name -in $ownMembers) { return }
    if ($Owner.kind -eq 'request') {
        if ($Name -eq 'RawBody') { $state.raw = $true; return @{ kind = 'raw' } }
        if ($places.Contains($Name)) { return @{ kind = 'value'; place = $places[$Name]; path = @() } }
        # A message has no parts: its fields are the input's.
        if ($script:isMessage) { return @{ kind = 'value'; place = 'body'; path = @($Name) } }
        return
    }
    if ($Owner.kind -eq 'value' -and ($Owner.place -eq 'body' -or -not $Owner.path)) {
        @{ kind = 'value'; place = $Owner.place; path = @($Owner.path) + $Name }
    }
}

function Get-PipelineOrigin([object] $Ast) {
    $elements = @($Ast.PipelineElements)
    $first = Get-Origin $elements[0]
    if ($elements.Count -eq 1) {
        if ($first) { return $first }
        if ($elements[0] -isnot [Management.Automation.Language.CommandAst]) { return }
        $command = $elements[0].GetCommandName()
        if ($command -ne 'ConvertFrom-Json') { return }
        foreach ($argument in $elements[0].CommandElements) { if ($found = Get-Origin $argument) { return (Get-Parsed $found) } }
        return
    }
    if (-not $first) { return }
    foreach ($element in $elements | Select-Object -Skip 1) {
        $command = $element -is [Management.Automation.Language.CommandAst] ? $element.GetCommandName() : ''
        if ($command -eq 'ConvertFrom-Json') { $first = Get-Parsed $first } elseif ($command -notin 'Out-String', 'ConvertTo-Json') { return }
    }
    $first
}

function Get-Parsed([object] $Origin) {
    $Origin.kind -in 'raw', 'request' ? @{ kind = 'value'; place = 'body'; path = @() } : $Origin
}

function Get-CallOrigin([object] $Ast) {
    $name = Get-Text $Ast.Member
    foreach ($argument in $Ast.Arguments) {
        $found = Get-Origin $argument
        if ($found -and $name -eq 'ParseQueryString') { return @{ kind = 'value'; place = 'form'; path = @() } }
        if ($found -and $name -in 'GetString', 'UnescapeDataString', 'UrlDecode', 'Parse') { return $found }
    }
    $owner = Get-Origin $Ast.Expression
    if ($owner -and $name -in 'Get', 'get_Item', 'GetValues' -and $Ast.Arguments) { return (Get-MemberOrigin $owner (Get-Text $Ast.Arguments[0])) }
    if ($owner -and $name -in 'Trim', 'ToString', 'ToLower', 'ToUpper', 'Clone') { return $owner }
}

function Add-Use([object] $Origin, [object] $Ast) {
    $type = ''
    $parent = $Ast.Parent
    while ($parent -is [Management.Automation.Language.ParenExpressionAst] -or $parent -is [Management.Automation.Language.PipelineAst] -or
        $parent -is [Management.Automation.Language.CommandExpressionAst]) { $parent = $parent.Parent }
    if ($parent -is [Management.Automation.Language.ConvertExpressionAst]) { $type = Get-JsonType $parent.Type.TypeName.Name }
    if ($parent -is [Management.Automation.Language.AssignmentStatementAst] -and $parent.Left -is [Management.Automation.Language.ConvertExpressionAst]) {
        $type = Get-JsonType $parent.Left.Type.TypeName.Name
    }
    if ($parent -is [Management.Automation.Language.BinaryExpressionAst] -and "$($parent.Operator)" -eq 'As') { $type = Get-JsonType $parent.Right.TypeName.Name }
    $uses.Add(@{ place = $Origin.place; path = @($Origin.path); line = $Ast.Extent.StartLineNumber; type = $type; required = $false })
}

# The parameters of a script that is given the fields of the input.
function Add-Parameter([string] $File) {
    $block = (Read-Tree $File).ParamBlock
    if ($block -and "$($block.Attributes)" -match 'SupportsShouldProcess') {
        $uses.Add(@{ place = 'body'; path = @('WhatIf'); line = $block.Extent.StartLineNumber; type = 'boolean'; required = $false; default = $null })
    }
    foreach ($each in $block ? $block.Parameters : @()) {
        $type, $required = '', $false
        foreach ($attribute in $each.Attributes) {
            if ($attribute -is [Management.Automation.Language.TypeConstraintAst]) { $type = Get-JsonType $attribute.TypeName.FullName }
            elseif ("$($attribute.TypeName)" -eq 'Parameter') {
                foreach ($argument in $attribute.NamedArguments) {
                    if ($argument.ArgumentName -eq 'Mandatory' -and "$($argument.Argument)" -ne '$false') { $required = $true }
                }
            }
        }
        $default = $each.DefaultValue -is [Management.Automation.Language.ConstantExpressionAst] ? $each.DefaultValue.Value : $null
        $uses.Add(@{
                place = 'body'; path = @($each.Name.VariablePath.UserPath); line = $each.Extent.StartLineNumber; type = $type
                required = $required; default = $default
            })
    }
}

# A function that the module Automation.Bridge runs takes the event, and its block or script the input.
function Read-Invocation([object] $Ast, [string] $Folder) {
    $state.event = $true
    for ($index = 1; $index -lt $Ast.CommandElements.Count; $index++) {
        $element = $Ast.CommandElements[$index]
        if ($element -is [Management.Automation.Language.ScriptBlockExpressionAst] -and $element.ScriptBlock.ParamBlock) {
            $known[$element.ScriptBlock.ParamBlock.Parameters[0].Name.VariablePath.UserPath] = @{ kind = 'value'; place = 'body'; path = @() }
        }
        if ($element -is [Management.Automation.Language.CommandParameterAst] -and $element.ParameterName -eq 'Path') {
            $file = "$($Ast.CommandElements[$index + 1])".Trim('"', "'").Replace('$PSScriptRoot', $Folder)
            if ([IO.File]::Exists($file)) { Add-Parameter $file } else { $notes.Add("the script $file was not found; add the fields that are its parameters") }
        }
    }
}

function Read-Command([object] $Ast) {
    $command = $Ast.GetCommandName()
    if ($command -eq 'Invoke-Automation') { return }
    if ($Ast.InvocationOperator -eq 'Dot') {
        $notes.Add("$Ast (line $($Ast.Extent.StartLineNumber)) was not read; add the fields that are read there")
        return
    }
    if ($command -in 'Write-Host', 'Write-Output', 'Write-Information', 'Write-Verbose', 'Write-Debug', 'ConvertTo-Json', 'ConvertFrom-Json', 'Out-String') { return }
    foreach ($element in $Ast.CommandElements) {
        $value = $element -is [Management.Automation.Language.CommandParameterAst] ? $element.Argument : $element
        $found = Get-Origin $value
        if ($found -and ($found.kind -ne 'value' -or -not $found.path)) {
            $notes.Add("$value goes to $command (line $($Ast.Extent.StartLineNumber)); add the fields that are read there")
        }
    }
}

try {
    $tree = Read-Tree $Path
    $found = { param($Kind) $tree.FindAll({ param($node) $node -is $Kind }.GetNewClosure(), $true) }
    $isMessage = -not ($tree.FindAll({
                param($node)
                $node -is [Management.Automation.Language.MemberExpressionAst] -and "$($node.Expression)" -eq "`$$Parameter" -and
                "$($node.Member)" -in 'Body', 'Query', 'Params', 'Headers', 'RawBody', 'Method', 'Url'
            }, $true))
    $commands = & $found ([Management.Automation.Language.CommandAst])
    foreach ($each in $commands.Where({ $_.GetCommandName() -eq 'Invoke-Automation' })) { Read-Invocation $each ([IO.Path]::GetDirectoryName($Path)) }
    foreach ($each in & $found ([Management.Automation.Language.AssignmentStatementAst])) {
        $target = $each.Left -is [Management.Automation.Language.ConvertExpressionAst] ? $each.Left.Child : $each.Left
        $origin = Get-Origin $each.Right
        if ($origin -and $target -is [Management.Automation.Language.VariableExpressionAst]) {
            $name = $target.VariablePath.UserPath
            # A plain field stays a plain field: its members are no members of the input.
            if (-not $known.Contains($name)) { $known[$name] = $origin }
        }
    }
    foreach ($each in $commands) { Read-Command $each }
    foreach ($each in & $found ([Management.Automation.Language.ExpressionAst])) {
        $isPart = $each -is [Management.Automation.Language.MemberExpressionAst] -or $each -is [Management.Automation.Language.IndexExpressionAst]
        if (-not $isPart) { continue }
        $isTest = $each -is [Management.Automation.Language.InvokeMemberExpressionAst] -and (Get-Text $each.Member) -in 'ContainsKey', 'Contains'
        $origin = $isTest ? (Get-MemberOrigin (Get-Origin $each.Expression) (Get-Text $each.Arguments[0])) : (Get-Origin $each)
        $isMember = $isTest -or $each -isnot [Management.Automation.Language.InvokeMemberExpressionAst] -or (Get-Text $each.Member) -in 'Get', 'get_Item', 'GetValues'
        if ($origin -and $isMember -and $origin.kind -eq 'value' -and $origin.path) { Add-Use $origin $each }
    }
    $help = $tree.GetHelpContent()
    $result = @{ uses = @($uses); notes = @($notes); event = $state.event; raw = $state.raw; description = $help ? "$($help.Synopsis)".Trim() : '' }
}
catch { $result = @{ error = $_.Exception.Message } }
[Console]::Out.Write((ConvertTo-Json -InputObject $result -Depth 5 -Compress))
