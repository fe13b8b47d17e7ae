// The commands that a function calls. They are compiled, because scripts ask for their type and their module.
using System;
using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using Bridge.PowerShellWorker;
using Shell = System.Management.Automation.PowerShell;  // the namespace below has a part of that name

namespace Microsoft.Azure.Functions.PowerShellWorker
{
    /// <summary>Gives a value to an output binding; it is sent if the call succeeds.</summary>
    [Cmdlet(VerbsCommon.Push, "OutputBinding")]
    public sealed class PushOutputBindingCommand : PSCmdlet
    {
        [Parameter(Mandatory = true, Position = 0)]
        public string Name { get; set; }

        [Parameter(Mandatory = true, Position = 1, ValueFromPipeline = true)]
        public object Value { get; set; }

        [Parameter]
        public SwitchParameter Clobber { get; set; }

        private OutputBindings _bindings;

        protected override void BeginProcessing()
        {
            _bindings = Running.Bindings(this);
            if (_bindings.TypeOf(Name) == null)
            {
                string unknown = $"The specified name '{Name}' cannot be resolved to a valid output binding of this function.";
                ThrowTerminatingError(Running.Refusal(unknown, "UnknownOutputBinding", Name));
            }
        }

        protected override void ProcessRecord()
        {
            if (!_bindings.Push(Name, Value, Clobber))
            {
                string taken = $"The output binding '{Name}' is already set with a value. The type of the output binding is '{_bindings.TypeOf(Name)}'."
                    + " It only accepts one message/record/file per a Function invocation. To override the value, use '-Clobber'.";
                ThrowTerminatingError(Running.Refusal(taken, "OutputBindingAlreadySet", Name));
            }
        }
    }

    /// <summary>Shows what has been pushed so far, always as one hashtable.</summary>
    [Cmdlet(VerbsCommon.Get, "OutputBinding")]
    [OutputType(typeof(Hashtable))]
    public sealed class GetOutputBindingCommand : PSCmdlet
    {
        [Parameter(Position = 0, ValueFromPipeline = true)]
        [SupportsWildcards]
        public string Name { get; set; } = "*";

        [Parameter]
        public SwitchParameter Purge { get; set; }

        protected override void ProcessRecord()
        {
            Hashtable pushed = Running.Bindings(this).Values;
            var pattern = new WildcardPattern(Name);
            var shown = new Hashtable(StringComparer.OrdinalIgnoreCase);
            foreach (DictionaryEntry entry in pushed)
            {
                if (pattern.IsMatch((string)entry.Key))
                {
                    shown[entry.Key] = entry.Value;
                }
            }
            if (Purge)
            {
                pushed.Clear();
            }
            WriteObject(shown);
        }
    }

    /// <summary>Turns what a function writes to its pipeline into log lines, one for each line that Out-String makes of it.</summary>
    [Cmdlet("Trace", "PipelineObject")]
    public sealed class TracePipelineObjectCommand : PSCmdlet
    {
        internal const string Tag = "__PipelineObject__";

        /// <summary>Whether the module that `Import` names came through the last pipeline of this thread.</summary>
        [ThreadStatic]
        internal static bool Imported;

        private static readonly CmdletInfo s_outString = new("Out-String", typeof(Microsoft.PowerShell.Commands.OutStringCommand));
        private static readonly string[] s_tags = { Tag };

        [Parameter(Mandatory = true, ValueFromPipeline = true)]
        [AllowNull]
        public object InputObject { get; set; }

        /// <summary>The path of a script that is imported; that it comes out as a module is not output.</summary>
        [Parameter(DontShow = true)]
        public string Import { get; set; }

        private SteppablePipeline _formatting;

        protected override void ProcessRecord()
        {
            if (Import != null && InputObject is PSObject { BaseObject: PSModuleInfo module } && module.Path == Import)
            {
                Imported = true;
                return;
            }
            if (_formatting == null)
            {
                _formatting = Shell.Create(RunspaceMode.CurrentRunspace).AddCommand(s_outString).AddParameter("Stream").GetSteppablePipeline();
                _formatting.Begin(true);
            }
            Write(_formatting.Process(InputObject));
        }

        protected override void EndProcessing()
        {
            if (_formatting != null)
            {
                Write(_formatting.End());
            }
        }

        private void Write(Array lines)
        {
            foreach (object line in lines)
            {
                WriteInformation(line, s_tags);
            }
        }
    }

    internal static class Running
    {
        internal static OutputBindings Bindings(PSCmdlet command)
        {
            OutputBindings found = OutputBindings.Of(Runspace.DefaultRunspace.InstanceId);
            if (found == null)
            {
                string name = command.MyInvocation.MyCommand.Name;
                string elsewhere = $"'{name}' should only be used in the PowerShell Language Worker's default runspace(s)."
                    + " Do not use it in a custom runspace created during the function execution because the pushed values cannot be collected.";
                command.ThrowTerminatingError(Refusal(elsewhere, "NotDefaultRunspace", name));
            }
            return found;
        }

        internal static ErrorRecord Refusal(string message, string id, object target) =>
            new(new InvalidOperationException(message), id, ErrorCategory.InvalidOperation, target);
    }
}
