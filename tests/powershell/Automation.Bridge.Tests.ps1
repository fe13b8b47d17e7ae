#Requires -Version 7.4
# The module as functions use it. FakeBridge.ps1 is the bridge's side of an invocation URL.

BeforeAll {
    $root = [IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/functions/powershell/Modules/Automation.Bridge" -Force

    function Get-Event([string] $Data = '{}', [hashtable] $Attributes = @{}) {
        $table = [ordered]@{
            specversion = '1.0'; id = 'order-4711/inventory'; source = '/bridge'; type = 'automation.invoked'; subject = 'host.inventory'
            correlationid = 'order-4711'; invocationtoken = 'token-of-the-invocation'; traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
        }
        foreach ($name in $Attributes.Keys) { $table[$name] = $Attributes[$name] }
        (ConvertTo-Json -InputObject $table -Compress).TrimEnd('}') + ',"data":' + $Data + '}'
    }
    # As a Service Bus trigger hands it over.
    function Get-Message([string] $Data = '{}', [hashtable] $Attributes = @{}) {
        $problem = $null
        [Microsoft.PowerShell.Commands.JsonObject]::ConvertFromJson((Get-Event $Data $Attributes), $true, [ref] $problem)
    }
    # Keeps every text as it is, as ConvertFrom-Json does not.
    function Read-Json([string] $Text) { , [System.Text.Json.Nodes.JsonNode]::Parse($Text) }
    function Get-Data([string] $Text) { (Read-Json $Text)['data'].ToJsonString([System.Text.Json.JsonSerializerOptions]@{ Encoder = [System.Text.Encodings.Web.JavaScriptEncoder]::UnsafeRelaxedJsonEscaping }) }
}

Describe 'Invoke-Automation' {
    It 'gives the result of <kind> as one event that the bridge recognises' -ForEach @(@{ kind = 'a message' }, @{ kind = 'JSON text' }) {
        $given = $kind -eq 'a message' ? (Get-Message '{"n":1}') : (Get-Event '{"n":1}')
        $result = Read-Json (Invoke-Automation $given { param($in) $in.n + 1 })
        [string] $result['type'] | Should -BeExactly 'automation.result'
        [string] $result['causationid'] | Should -BeExactly 'order-4711/inventory'
        [string] $result['correlationid'] | Should -BeExactly 'order-4711'
        [string] $result['subject'] | Should -BeExactly 'host.inventory'
        [string] $result['invocationtoken'] | Should -BeExactly 'token-of-the-invocation'
        [string] $result['traceparent'] | Should -Match '^00-0af7'
        $result['data'].ToJsonString() | Should -BeExactly '{"status":"succeeded","output":2}'
    }

    It 'puts the result below the activity that the function works in, if that is of the trace' {
        $event = Get-Event
        $same = [System.Diagnostics.Activity]::new('work').SetParentId('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01').Start()
        try { [string] (Read-Json (Invoke-Automation $event { 1 }))['traceparent'] | Should -BeExactly $same.Id } finally { $same.Stop() }
        $other = [System.Diagnostics.Activity]::new('work').Start()
        try { [string] (Read-Json (Invoke-Automation $event { 1 }))['traceparent'] | Should -BeExactly '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
        finally { $other.Stop() }
    }

    It 'gives back <json> as it came' -ForEach @(
        '{"when":"2026-11-28T10:00:00Z"}', '[]', '[1]', '[[1]]', '{"a":[{"b":[]}]}', 'null', '""', '{"":1}', '{"a":1,"A":2}', '12345678901234567890', '"Zürich €"',
        '[null]', 'true', '{"Count":3,"Keys":[]}', '{"a":{"b":{"c":{"d":{"e":{"f":{"g":[1]}}}}}}}'
    ) {
        $json = $_
        Get-Data (Invoke-Automation (Get-Message "{`"value`":$json}") { param($in) , $in['value'] }) | Should -BeExactly "{`"status`":`"succeeded`",`"output`":$json}"
    }

    It 'leaves the dates of JSON text alone' {
        $exact = '"2026-11-28T10:00:00.500+02:00"'
        Get-Data (Invoke-Automation (Get-Event "{`"when`":$exact}") { param($in) $in.when }) | Should -BeLike "*$exact*"
    }

    It 'keeps a correlation id that looks like a date' {
        $message = Get-Message '{}' @{ id = '2026-11-28T10:00:00Z/a'; correlationid = '2026-11-28T10:00:00Z' }
        [string] (Read-Json (Invoke-Automation $message { 1 }))['correlationid'] | Should -BeExactly '2026-11-28T10:00:00Z'
    }

    It 'finds a field of the input in any letter case' {
        Get-Data (Invoke-Automation (Get-Message '{"UserName":"ada"}') { param($in) $in.username }) | Should -BeLike '*"output":"ada"*'
    }

    It 'turns what JSON has no form for into text' {
        $data = Get-Data (Invoke-Automation (Get-Message) {
                [ordered]@{ day = [DayOfWeek]::Monday; bytes = [byte[]] (1, 2); time = [datetime]::new(2026, 1, 2, 3, 4, 5, [DateTimeKind]::Utc); span = [timespan]'1:00'; secret = (ConvertTo-SecureString x -AsPlainText) }
            })
        $data | Should -BeExactly '{"status":"succeeded","output":{"day":"Monday","bytes":"AQI=","time":"2026-01-02T03:04:05Z","span":"01:00:00","secret":"(secret)"}}'
    }

    It 'ends with <what>' -ForEach @(
        @{ what = 'an output that contains itself'; block = { $a = @{}; $a.a = $a; $a }; code = 'OutputTooDeep' }
        @{ what = 'an output that is deeper than any reader wants'; block = { $a = 1; 1..200 | ForEach-Object { $a = @{ a = $a } }; $a }; code = 'OutputTooDeep' }
        @{ what = 'objects that lead to other objects without an end'; block = { Get-Process -Id $PID; Get-Command Get-Item; [int] }; code = $null }
        @{ what = 'exit'; block = { exit 3 }; code = 'Exited' }
    ) {
        $data = if ($what -eq 'exit') {
            $shell = [powershell]::Create()
            try {
                [void] $shell.AddScript("Import-Module '$root/functions/powershell/Modules/Automation.Bridge'; Invoke-Automation '$(Get-Event)' { exit 3 }")
                Get-Data $shell.Invoke()[0]
            }
            finally { $shell.Dispose() }
        }
        else { Get-Data (Invoke-Automation (Get-Message) $block) }
        [string] (Read-Json $data)['error']?['code'] | Should -BeExactly "$code"
    }

    It 'takes a stray <word> for an early end of the work alone' -ForEach @(@{ word = 'break' }, @{ word = 'continue' }) {
        $turns = 0
        foreach ($turn in 1..2) {
            $turns++
            Get-Data (Invoke-Automation (Get-Message) ([scriptblock]::Create("1; $word; 2"))) | Should -BeLike '*"output":1*'
        }
        $turns | Should -Be 2
    }

    It 'tells <what> with code, message and place' -ForEach @(
        @{ what = 'text'; block = { throw 'no disk' }; code = 'RuntimeException'; message = 'no disk (Automation.Bridge.Tests.ps1, line *)' }
        @{ what = 'a table'; block = { throw @{ code = 'NoUser'; message = 'no Ada'; hint = 'try Bob'; retriable = $true } }; code = 'NoUser'; message = 'no Ada (*' }
        @{ what = 'an exception'; block = { throw [ArgumentException]::new('bad') }; code = 'ArgumentException'; message = 'bad (*' }
        @{ what = 'the data of an exception'; block = { $e = [ArgumentException]::new('bad'); $e.Data.code = 'Mine'; throw $e }; code = 'Mine'; message = 'bad (*' }
        @{ what = 'a cmdlet that was to stop'; block = { Get-Item /no/such -ErrorAction Stop }; code = 'PathNotFound'; message = '*does not exist*' }
        @{ what = 'a command that is not there'; block = { Get-Nothing }; code = 'CommandNotFoundException'; message = '*Get-Nothing*' }
    ) {
        $failed = (Read-Json (Get-Data (Invoke-Automation (Get-Message) $block)))
        [string] $failed['status'] | Should -BeExactly 'failed'
        [string] $failed['error']['code'] | Should -BeExactly $code
        [string] $failed['error']['message'] | Should -BeLike $message
        [string] $failed['error']['retriable'] | Should -Be ($what -eq 'a table' ? 'true' : 'false')
    }

    It 'never repeats the token outside of its attribute' {
        $result = Read-Json (Invoke-Automation (Get-Message) { throw 'it was token-of-the-invocation' })
        $result['data'].ToJsonString() | Should -Not -BeLike '*token-of-the-invocation*'
    }

    It 'does not start what is past its deadline' {
        $script:started = $false
        Get-Data (Invoke-Automation (Get-Message '{}' @{ expirytime = '2001-01-01T00:00:00Z' }) { $script:started = $true }) | Should -BeLike '*DeadlinePassed*'
        $script:started | Should -BeFalse
    }

    It 'throws for <what>, without its content' -ForEach @(
        @{ what = 'another event'; given = '{"type":"orders.made","secret":"hunter2"}' }, @{ what = 'no JSON'; given = 'hunter2' }, @{ what = 'nothing'; given = $null }
        @{ what = 'an event without a token'; given = '{"type":"automation.invoked","id":"a/b","subject":"s","correlationid":"a"}' }, @{ what = 'an array'; given = '[1]' }
    ) {
        $problem = { Invoke-Automation $given { 1 } } | Should -Throw -PassThru
        "$problem" | Should -Not -BeLike '*hunter2*'
    }

    It 'leaves preferences, functions and the invocation of its caller alone' {
        Invoke-Automation (Get-Message) { "$ErrorActionPreference"; function Inner { } } | Should -BeLike '*"output":"Continue"*'
        Get-Command Inner -ErrorAction Ignore | Should -BeNullOrEmpty
        Get-Command ConvertTo-Invocation -ErrorAction Ignore | Should -BeNullOrEmpty
        (Get-Command Write-Progress).CommandType | Should -Be 'Cmdlet'
        { Complete-Automation 1 } | Should -Throw '*No automation is running*'
    }
}

Describe 'Invoke-Automation -Path' {
    BeforeAll {
        $old = "$TestDrive/old.ps1"
        Set-Content $old @'
[CmdletBinding(SupportsShouldProcess)]
param([Parameter(Mandatory)] [int] $Days, [datetime] $Since, [string[]] $Names, [switch] $Force, [ValidateSet('a', 'b')] [string] $Kind = 'a', [pscredential] $Login)
if ($Days -eq 13) { exit 4 }
if ($Days -eq 14) { Write-Error 'one'; 'went on'; return }
"$Days $($Since.ToUniversalTime().ToString('u')) $($Names -join '+') $Force $Kind $WhatIfPreference"
'@
    }

    It 'gives each field to the parameter of its name, with its type' {
        $message = Get-Message '{"days":"5","since":"2026-11-28T10:00:00Z","NAMES":["x","y"],"force":true,"whatIf":true}'
        Get-Data (Invoke-Automation $message -Path $old) | Should -BeLike '*"5 2026-11-28 10:00:00Z x+y True a True"*'
    }

    It 'refuses <json> by name' -ForEach @(
        @{ json = '{"days":1,"daze":2}'; message = '*daze*' }, @{ json = '{}'; message = '*Days*' }, @{ json = '{"days":"many"}'; message = '*Days*' }
        @{ json = '{"days":1,"kind":"c"}'; message = '*Kind*' }, @{ json = '{"days":1,"login":"hunter2"}'; message = '*Login*PSCredential*' }
        @{ json = '{"days":1,"Days":2}'; message = '*twice*' }, @{ json = '[1]'; message = '*object*' }, @{ json = '{"days":1,"errorAction":"Ignore"}'; message = '*errorAction*' }
    ) {
        $failed = (Read-Json (Get-Data (Invoke-Automation (Get-Message $json) -Path $old)))['error']
        [string] $failed['code'] | Should -BeExactly 'InvalidInput'
        [string] $failed['message'] | Should -BeLike $message
        [string] $failed['message'] | Should -Not -BeLike '*hunter2*'
    }

    It 'never runs data as code' {
        $message = Get-Message '{"days":1,"since":"2026-11-28","names":["$(throw 1)","; exit 9","''"]}'
        Get-Data (Invoke-Automation $message -Path $old) | Should -BeLike '*$(throw 1)+; exit 9+*'
    }

    It 'fails where the script ends with an exit code' {
        Get-Data (Invoke-Automation (Get-Message '{"days":13}') -Path $old) | Should -BeLike '*"ExitCode"*exit code 4*'
    }

    It 'names the line of a syntax error, and a script that is not there' {
        Set-Content "$TestDrive/broken.ps1" "1`nif ("
        Get-Data (Invoke-Automation (Get-Message) -Path "$TestDrive/broken.ps1") | Should -BeLike '*SyntaxError*broken.ps1, line 2*'
        Get-Data (Invoke-Automation (Get-Message) -Path "$TestDrive/none.ps1") | Should -BeLike '*NoScript*'
    }
}

Describe 'Complete-Automation' {
    It 'sets the outcome, whatever else was written' {
        Get-Data (Invoke-Automation (Get-Message) { Complete-Automation -Output @{ a = 1 }; 'noise' }) | Should -BeExactly '{"status":"succeeded","output":{"a":1}}'
        Get-Data (Invoke-Automation (Get-Message) { Complete-Automation -ErrorCode Busy -Message m -Hint h -Retriable; 'noise' }) |
            Should -BeExactly '{"status":"failed","error":{"code":"Busy","message":"m","hint":"h","retriable":true}}'
    }

    It 'makes the result of a function that does not use Invoke-Automation' {
        Get-Data (Complete-Automation -CloudEvent (Get-Message) -Output @(1)) | Should -BeExactly '{"status":"succeeded","output":[1]}'
    }
}

Describe 'in a function' {
    It 'pushes the result to the one Service Bus output, and returns it with -PassThru' {
        $folder = New-Item -ItemType Directory "$TestDrive/Fn"
        Set-Content "$folder/function.json" '{"bindings":[{"type":"serviceBusTrigger","direction":"in","name":"message"},{"type":"serviceBus","direction":"out","name":"answer"}]}'
        Set-Content "$folder/run.ps1" 'param($message, [switch] $PassThru) Invoke-Automation $message -PassThru:$PassThru { 5 }'
        $global:pushed = @()
        function global:Push-OutputBinding($Name, $Value) { $global:pushed += , @($Name, $Value) }
        try {
            & "$folder/run.ps1" (Get-Message) | Should -BeNullOrEmpty
            $global:pushed.Count | Should -Be 1
            $global:pushed[0][0] | Should -Be 'answer'
            Get-Data $global:pushed[0][1] | Should -BeLike '*"output":5*'
            Get-Data (& "$folder/run.ps1" (Get-Message) -PassThru) | Should -BeLike '*"output":5*'
            $global:pushed.Count | Should -Be 1
        }
        finally { Remove-Item function:Push-OutputBinding; Remove-Variable pushed -Scope Global }
    }
}

Describe 'a request of an HTTP function' {
    BeforeAll {
        function Get-Request([object] $Body, [hashtable] $Headers = @{}) { [pscustomobject]@{ Method = 'POST'; Headers = $Headers; Query = @{}; Params = @{}; Body = $Body } }
    }

    It 'has its input in the body, and the output is the response' {
        $response = Invoke-Automation (Get-Request @{ n = 1 }) { param($in) , @($in.n) }
        $response.StatusCode | Should -Be 200
        $response.Body | Should -BeExactly '[1]'
    }

    It 'is answered with <status> and the error' -ForEach @(
        @{ status = 500; headers = @{}; block = { throw @{ code = 'NoUser'; message = 'no Ada' } }; like = '*"NoUser"*"retriable":false*' }
        @{ status = 410; headers = @{ 'X-Deadline' = '2001-01-01T00:00:00Z' }; block = { 1 }; like = '*"DeadlinePassed"*' }
        @{ status = 422; headers = @{}; block = { throw @{ code = 'InvalidInput'; message = 'no' } }; like = '*"InvalidInput"*' }
    ) {
        $response = Invoke-Automation (Get-Request @{} $headers) $block
        $response.StatusCode | Should -Be $status
        $response.Body | Should -BeLike $like
    }
}

Describe 'the module' {
    It 'has help with a synopsis and an example for each command, and approved verbs' {
        foreach ($command in Get-Command -Module Automation.Bridge) {
            $help = Get-Help $command.Name
            $help.Synopsis | Should -Not -BeLike "*$($command.Name)*"
            @($help.examples.example).Count | Should -BeGreaterThan 0 -Because $command.Name
            $command.Verb | Should -BeIn (Get-Verb).Verb
        }
    }

    It 'exports what its manifest names' {
        $manifest = Test-ModuleManifest "$root/functions/powershell/Modules/Automation.Bridge/Automation.Bridge.psd1"
        (Get-Command -Module Automation.Bridge).Name | Sort-Object | Should -Be ($manifest.ExportedFunctions.Keys | Sort-Object)
    }

    It 'and the app parse without an error' {
        foreach ($file in Get-ChildItem "$root/functions/powershell" -Recurse -Include *.ps1, *.psm1, *.psd1) {
            $mistakes = $null
            [void] [Management.Automation.Language.Parser]::ParseFile($file.FullName, [ref] $null, [ref] $mistakes)
            $mistakes | Should -BeNullOrEmpty -Because $file.Name
        }
    }
}
