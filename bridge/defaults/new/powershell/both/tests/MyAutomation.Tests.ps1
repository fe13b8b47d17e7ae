# my.automation with the input of its sample event. Run it with `Invoke-Pester`.
Describe 'my.automation' {
    It 'counts the words of the sample' {
        $sample = Get-Content -Raw "$PSScriptRoot/my.automation.json" | ConvertFrom-Json -AsHashtable
        $in = $sample.data
        (& "$PSScriptRoot/../MyAutomation/Invoke-MyAutomation.ps1" @in).words | Should -Be 6
    }
}
