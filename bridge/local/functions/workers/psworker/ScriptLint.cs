// What in a script will differ between this machine, other systems and Azure.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Management.Automation.Language;
using System.Text.RegularExpressions;

namespace Bridge.PowerShellWorker
{
    /// <summary>Reads one script and says what its author may want to know; the script runs all the same.</summary>
    internal sealed class ScriptLint
    {
        private static readonly HashSet<string> s_windowsCommands = new(
            ("Get-WmiObject Invoke-WmiMethod Get-EventLog Write-EventLog New-EventLog Get-WinEvent Get-Service Start-Service Stop-Service Restart-Service"
            + " Get-CimInstance Get-ScheduledTask Register-ScheduledTask Get-LocalUser New-LocalUser Get-ADUser Get-ADGroup Get-ADComputer Set-ADUser"
            + " New-ADUser Add-ADGroupMember Get-Acl Set-Acl Get-AuthenticodeSignature Get-Counter Set-ExecutionPolicy Get-HotFix Restart-Computer").Split(' '),
            StringComparer.OrdinalIgnoreCase);

        private static readonly HashSet<string> s_windowsAliases = new(
            "ls sort mkdir curl wget cat cp mv rm rmdir ps kill man mount sleep tee diff start sc clear write".Split(' '), StringComparer.OrdinalIgnoreCase);

        private static readonly HashSet<string> s_windowsVariables = new(
            "TEMP TMP windir SystemRoot ProgramFiles APPDATA LOCALAPPDATA USERPROFILE COMPUTERNAME USERNAME".Split(' '), StringComparer.OrdinalIgnoreCase);

        private static readonly Regex s_windowsPath = new(@"^([A-Za-z]:\\|HK(LM|CU|CR):)", RegexOptions.IgnoreCase);

        private readonly string _file;
        private readonly string _root;
        private readonly ISet<string> _profileVariables;
        private readonly List<string> _notes = new();

        private ScriptLint(string file, string root, ISet<string> profileVariables)
        {
            _file = file;
            _root = root;
            _profileVariables = profileVariables;
        }

        /// <summary>The notes on a script, each with its file and line.</summary>
        internal static IReadOnlyList<string> Read(string file, string root, ISet<string> profileVariables)
        {
            ScriptBlockAst script = Parser.ParseFile(file, out _, out ParseError[] errors);
            var lint = new ScriptLint(file, root, profileVariables);
            if (errors.Length == 0)
            {
                foreach (Ast node in script.FindAll(_ => true, searchNestedScriptBlocks: true))
                {
                    lint.Look(node);
                }
                lint.LookForProfileVariables(script);
            }
            return lint._notes;
        }

        /// <summary>The plain variables that a script sets outside its functions.</summary>
        internal static ISet<string> AssignedVariables(string file) =>
            Assigned(Parser.ParseFile(file, out _, out _)).ToHashSet(StringComparer.OrdinalIgnoreCase);

        private static IEnumerable<string> Assigned(Ast script) =>
            script.FindAll(node => node is AssignmentStatementAst, searchNestedScriptBlocks: false)
                .Select(node => Variable(((AssignmentStatementAst)node).Left)).Where(name => name != null && !name.EndsWith("Preference"));

        private static string Variable(ExpressionAst target)
        {
            ExpressionAst inner = target is ConvertExpressionAst converted ? converted.Child : target;
            return inner is VariableExpressionAst { VariablePath.IsDriveQualified: false } variable ? Plain(variable) : null;
        }

        private static string Plain(VariableExpressionAst variable) => variable.VariablePath.UserPath.Split(':')[^1];

        private void Note(Ast node, string text) => _notes.Add($"{Path.GetRelativePath(_root, _file)}:{node.Extent.StartLineNumber}: {text}");

        private void Look(Ast node)
        {
            switch (node)
            {
                case CommandAst command:
                    LookAtCommand(command);
                    break;
                case VariableExpressionAst { VariablePath.IsDriveQualified: true } variable when IsWindowsVariable(variable):
                    Note(node, $"${variable.VariablePath.UserPath} is set on Windows only.");
                    break;
                case StringConstantExpressionAst text when s_windowsPath.IsMatch(text.Value):
                    Note(node, $"'{text.Value}' is a path of Windows.");
                    break;
                case StringConstantExpressionAst text:
                    LookAtLetterCase(text);
                    break;
                case InvokeMemberExpressionAst { Static: true } call when call.Arguments?.Any(HasBackslash) == true:
                    Note(node, "a path with \\ is given to .NET, which knows only / as a separator on Linux.");
                    break;
                case HashtableAst table:
                    LookAtHeaders(table);
                    break;
            }
        }

        private static bool IsWindowsVariable(VariableExpressionAst variable)
        {
            string[] parts = variable.VariablePath.UserPath.Split(':');
            return parts[0].Equals("env", StringComparison.OrdinalIgnoreCase) && s_windowsVariables.Contains(parts[^1]);
        }

        private static bool HasBackslash(ExpressionAst argument) =>
            (argument is StringConstantExpressionAst text ? text.Value : (argument as ExpandableStringExpressionAst)?.Value) is string value
            && Regex.IsMatch(value, @"[\w.}]\\\w");

        private void LookAtCommand(CommandAst command)
        {
            string name = command.GetCommandName();
            if (name == null)
            {
                return;
            }
            if (s_windowsCommands.Contains(name))
            {
                Note(command, $"{name} runs on Windows only.");
            }
            else if (s_windowsAliases.Contains(name))
            {
                Note(command, $"'{name}' is an alias on Windows only; elsewhere it starts the program of that name. Write the command's full name.");
            }
            IEnumerable<string> switches = command.CommandElements.OfType<CommandParameterAst>().Select(each => each.ParameterName);
            foreach (string windows in switches.Where(each => each.Equals("UseWindowsPowerShell", StringComparison.OrdinalIgnoreCase)
                || (each.Equals("ComObject", StringComparison.OrdinalIgnoreCase) && name.Equals("New-Object", StringComparison.OrdinalIgnoreCase))))
            {
                Note(command, $"{name} -{windows} works on Windows only.");
            }
        }

        /// <summary>A relative path that leads to a file only on systems that take letters of either case.</summary>
        private void LookAtLetterCase(StringConstantExpressionAst text)
        {
            string path = text.Value.Replace('\\', '/');
            if (path.Length is < 4 or > 260 || !(path.StartsWith("./") || path.StartsWith("../")) || path.IndexOfAny(new[] { '\n', '*', '\0' }) >= 0)
            {
                return;
            }
            string wanted = Path.GetFullPath(Path.Combine(_root, path));
            string folder = Path.GetDirectoryName(wanted);
            if (File.Exists(wanted) || Directory.Exists(wanted) || !Directory.Exists(folder))
            {
                return;
            }
            string other = Directory.EnumerateFileSystemEntries(folder).FirstOrDefault(each => each.Equals(wanted, StringComparison.OrdinalIgnoreCase));
            if (other != null)
            {
                Note(text, $"'{text.Value}' is written '{Path.GetFileName(other)}' on disk, and on Linux the case of letters counts.");
            }
        }

        private void LookAtHeaders(HashtableAst table)
        {
            foreach (Tuple<ExpressionAst, StatementAst> pair in table.KeyValuePairs)
            {
                bool headers = pair.Item1 is StringConstantExpressionAst key && key.Value.Equals("Headers", StringComparison.OrdinalIgnoreCase);
                foreach (HashtableAst inner in headers ? pair.Item2.FindAll(node => node is HashtableAst, false).Cast<HashtableAst>() : Array.Empty<HashtableAst>())
                {
                    ExpressionAst found = inner.KeyValuePairs.Select(each => each.Item1).FirstOrDefault(IsCapitalContentType);
                    if (found != null)
                    {
                        Note(found, "a content type among the headers of a response has no effect on Azure unless it is written 'content-type'."
                            + " Write ContentType = … beside Headers.");
                    }
                }
            }
        }

        private static bool IsCapitalContentType(ExpressionAst key) =>
            key is StringConstantExpressionAst { Value: var name } && name.Equals("content-type", StringComparison.OrdinalIgnoreCase) && name != "content-type";

        private void LookForProfileVariables(ScriptBlockAst script)
        {
            HashSet<string> own = Assigned(script).Concat(script.ParamBlock?.Parameters.Select(each => each.Name.VariablePath.UserPath) ?? Array.Empty<string>())
                .ToHashSet(StringComparer.OrdinalIgnoreCase);
            var read = script.FindAll(node => node is VariableExpressionAst, searchNestedScriptBlocks: true).Cast<VariableExpressionAst>()
                .Where(each => _profileVariables.Contains(Plain(each)) && !own.Contains(Plain(each))).DistinctBy(each => Plain(each).ToLowerInvariant());
            foreach (VariableExpressionAst variable in read)
            {
                Note(variable, $"${Plain(variable)} comes from profile.ps1; on Azure it is gone after the first call of each runspace."
                    + " Set it where it is used, or make it a function.");
            }
        }
    }
}
