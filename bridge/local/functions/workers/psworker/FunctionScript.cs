// One function: its script, its parameters and its bindings.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Management.Automation;
using System.Management.Automation.Language;
using System.Text;
using System.Text.Json;

namespace Bridge.PowerShellWorker
{
    /// <summary>A function that cannot be loaded.</summary>
    internal sealed class FunctionRefused : Exception
    {
        internal FunctionRefused(string message) : base(message) { }
    }

    /// <summary>A function that was read and checked.</summary>
    internal sealed class FunctionScript
    {
        internal const string TriggerMetadata = "TriggerMetadata";
        internal const string TraceContext = "TraceContext";
        internal const string RetryContext = "RetryContext";

        private static readonly StringComparer s_names = StringComparer.OrdinalIgnoreCase;
        private static readonly string[] s_durable = { "orchestrationTrigger", "activityTrigger", "durableClient", "orchestrationClient" };

        private readonly Dictionary<string, Type> _parameters = new(s_names);
        private readonly Dictionary<string, string> _inputs = new(s_names);
        private readonly Dictionary<string, string> _outputs = new(s_names);
        private readonly string _entryPoint;

        internal string Name { get; }
        internal string Folder { get; }
        internal string File { get; }

        /// <summary>The script as a block that every runspace gets as a function; null where the file itself must be run.</summary>
        internal ScriptBlock Block { get; }

        /// <summary>The name to call.</summary>
        internal string Command => _entryPoint ?? (Block == null ? File : DeployedName);
        internal string DeployedName => $"_{Name}_";

        /// <summary>Whether the file is a module that must be imported before the call.</summary>
        internal bool IsModule => _entryPoint != null;

        internal IReadOnlyDictionary<string, string> Outputs => _outputs;

        internal FunctionScript(JsonElement described)
        {
            Name = described.GetProperty("name").GetString();
            Folder = described.GetProperty("directory").GetString();
            File = described.GetProperty("scriptFile").GetString();
            _entryPoint = Optional(described, "entryPoint");
            CheckEntryPoint();
            ReadBindings(described.GetProperty("bindings"));
            ScriptBlockAst script = Parsed();
            ReadParameters(IsModule ? EntryPoint(script).Body : script, IsModule ? EntryPoint(script).Parameters : null);
            CheckParameters();
            // A block drops what #requires asks for, so such a file is run as a file.
            Block = IsModule || script.ScriptRequirements != null ? null : script.GetScriptBlock();
        }

        internal bool Takes(string parameter) => _parameters.ContainsKey(parameter);

        /// <summary>A value for a parameter. Content of a blob comes as bytes, and becomes text or a stream where the script declares that.</summary>
        internal object Argument(string parameter, object value)
        {
            if (value is not byte[] bytes || !_inputs.TryGetValue(parameter, out string type) || !type.StartsWith("blob", StringComparison.OrdinalIgnoreCase))
            {
                return value;
            }
            Type wanted = _parameters[parameter];
            return wanted == typeof(string) ? Encoding.UTF8.GetString(bytes) : wanted == typeof(Stream) ? new MemoryStream(bytes) : value;
        }

        private static string Optional(JsonElement described, string name) =>
            described.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String && value.GetString() != "" ? value.GetString() : null;

        private void CheckEntryPoint()
        {
            bool module = File.EndsWith(".psm1", StringComparison.OrdinalIgnoreCase);
            if (module && _entryPoint == null)
            {
                throw new FunctionRefused(
                    "The 'entryPoint' property needs to be specified when 'scriptFile' points to a PowerShell module script file (.psm1).");
            }
            if (!module && _entryPoint != null)
            {
                throw new FunctionRefused("The 'entryPoint' property is supported only if 'scriptFile' points to a PowerShell module script file (.psm1).");
            }
        }

        private void ReadBindings(JsonElement bindings)
        {
            foreach (JsonElement binding in bindings.EnumerateArray())
            {
                string name = binding.GetProperty("name").GetString(), type = binding.GetProperty("type").GetString();
                if (s_durable.Contains(type, s_names))
                {
                    throw new FunctionRefused($"The binding '{name}' has the type '{type}'. Durable functions do not run here.");
                }
                switch (Optional(binding, "direction")?.ToLowerInvariant())
                {
                    case "out":
                        _outputs[name] = type;
                        break;
                    case "inout":
                        throw new FunctionRefused(
                            $"The binding '{name}' is declared with 'InOut' direction, which is not supported by PowerShell functions.");
                    default:
                        _inputs[name] = type;
                        break;
                }
            }
        }

        private ScriptBlockAst Parsed()
        {
            ScriptBlockAst script = Parser.ParseFile(File, out _, out ParseError[] errors);
            if (errors.Length > 0)
            {
                throw new FunctionRefused(errors.Aggregate($"The script file '{File}' has parsing errors:\n", (text, error) => $"{text}{error.Message}\n"));
            }
            return script;
        }

        private FunctionDefinitionAst EntryPoint(ScriptBlockAst script)
        {
            var found = script.FindAll(ast => ast is FunctionDefinitionAst each && s_names.Equals(each.Name, _entryPoint), searchNestedScriptBlocks: false).ToList();
            return found.Count == 1
                ? (FunctionDefinitionAst)found[0]
                : throw new FunctionRefused(
                    found.Count == 0
                        ? $"Cannot find the function '{_entryPoint}' defined in '{File}'."
                        : $"More than one functions named '{_entryPoint}' are found in '{File}'.");
        }

        private void ReadParameters(ScriptBlockAst body, IEnumerable<ParameterAst> inline)
        {
            foreach (ParameterAst parameter in inline ?? body.ParamBlock?.Parameters ?? Enumerable.Empty<ParameterAst>())
            {
                _parameters[parameter.Name.VariablePath.UserPath] = parameter.StaticType;
            }
        }

        private void CheckParameters()
        {
            var problems = new StringBuilder();
            foreach (string input in _inputs.Keys.Where(each => !Takes(each)))
            {
                problems.Append($"No parameter defined in the script or function for the input binding '{input}'.\n");
            }
            string[] given = { TriggerMetadata, TraceContext, RetryContext };
            foreach (string parameter in _parameters.Keys.Where(each => !_inputs.ContainsKey(each) && !given.Contains(each, s_names)))
            {
                problems.Append($"No input binding defined for the parameter '{parameter}' that is declared in the script or function.\n");
            }
            if (problems.Length > 0)
            {
                throw new FunctionRefused(problems.ToString());
            }
        }
    }
}
