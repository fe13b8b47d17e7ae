// A runspace with its own thread: it runs one call at a time and goes back to the state that profile.ps1 left.
using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Globalization;
using System.IO;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Threading;
using Microsoft.Azure.Functions.PowerShellWorker;

namespace Bridge.PowerShellWorker
{
    /// <summary>Used by one thread, except for `Stop`.</summary>
    internal sealed class RunspaceSlot : IDisposable
    {
        private static readonly CmdletInfo s_getJob = new("Get-Job", typeof(Microsoft.PowerShell.Commands.GetJobCommand));
        private static readonly CmdletInfo s_trace = new("Trace-PipelineObject", typeof(TracePipelineObjectCommand));


        private readonly App _app;
        private readonly Runspace _runspace;
        private readonly PowerShell _shell;
        private readonly StreamLogs _logs;
        private RunspaceState _state;
        private Collection<Job> _jobs = new();  // left by the last call

        internal RunspaceSlot(App app)
        {
            _app = app;
            _runspace = RunspaceFactory.CreateRunspace(app.InitialState);
            _runspace.ThreadOptions = PSThreadOptions.UseCurrentThread;
            _runspace.Open();
            app.SetModulePath();  // opening a runspace puts the user's folders before the app's
            _shell = PowerShell.Create();
            _shell.Runspace = _runspace;
            _logs = new StreamLogs(_shell.Streams);
            Deploy();
        }

        public void Dispose()
        {
            _shell.Dispose();
            _runspace.Dispose();
        }

        /// <summary>
        /// Runs a call and answers it. False if profile.ps1 failed, after which the runspace cannot be used. `free` is called before the answer, if
        /// there will be nothing that could take long before the next call.
        /// </summary>
        internal bool Run(Call call, Action free)
        {
            _logs.Current = call.Log;
            CultureInfo.CurrentCulture = _app.Culture;
            CultureInfo.CurrentUICulture = _app.UserCulture;
            using CancellationTokenRegistration stopping = call.Stopped.Register(() => _shell.BeginStop(null, null));
            try
            {
                if (_state == null)
                {
                    RunProfile();
                    _state = new RunspaceState(_runspace);
                }
            }
            catch (Exception failure)
            {
                End(call, failure);
                return false;
            }
            if (call.IsLate)
            {
                call.FailLate();
                return true;
            }
            Exception failed = null;
            OutputBindings.Begin(_runspace.InstanceId, call.Bindings);
            try
            {
                RunFunction(call);
            }
            catch (Exception failure)
            {
                failed = failure;
            }
            OutputBindings.End(_runspace.InstanceId);
            _jobs = Jobs();
            if (_jobs.Count == 0)
            {
                free();
            }
            End(call, failed);
            return true;
        }

        /// <summary>Removes what the call has left behind. False if that is not possible, after which the runspace cannot be used.</summary>
        internal bool Reset()
        {
            try
            {
                RemoveJobs();
                _state.Restore();
                return true;
            }
            catch (RuntimeException problem)
            {
                _logs.Current.Write("warning", $"This call's runspace is not used again, because it could not be cleaned up: {problem.Message}");
                return false;
            }
        }

        private static void End(Call call, Exception failure)
        {
            if (call.Stopped.IsCancellationRequested)
            {
                call.FailStopped();
                return;
            }
            if (failure == null)
            {
                try
                {
                    CrashPoint.Passed(CrashPoint.RanNotAnswered);
                    call.Succeed();
                    return;
                }
                catch (Exception unsendable)
                {
                    failure = unsendable;
                }
            }
            call.Fail(failure);
        }

        private void Deploy()
        {
            foreach (FunctionScript function in _app.Functions)
            {
                if (function.Block != null)
                {
                    _shell.AddCommand("New-Item").AddParameter("Path", @"Function:\").AddParameter("Name", function.DeployedName)
                        .AddParameter("Value", function.Block).AddParameter("Options", "Constant");
                    Invoke();
                }
            }
        }

        /// <summary>Runs profile.ps1 in the global scope. Raises what ends it.</summary>
        private void RunProfile()
        {
            if (_app.Profile == null)
            {
                return;
            }
            string problem = $"Errors reported while executing profile.ps1. See logs for detailed errors. Profile location: {_app.Profile}.";
            bool errors = true;
            try
            {
                _shell.AddCommand("Microsoft.PowerShell.Core\\Import-Module").AddParameter("Name", _app.Profile).AddParameter("Global", true)
                    .AddParameter("PassThru", true).AddCommand(s_trace).AddParameter("Import", _app.Profile);
                TracePipelineObjectCommand.Imported = false;
                Invoke(out errors);
                errors |= !TracePipelineObjectCommand.Imported;  // `exit` has ended it, which the engine does not report
                _shell.AddCommand("Microsoft.PowerShell.Core\\Remove-Module").AddParameter("Name", Path.GetFileNameWithoutExtension(_app.Profile))
                    .AddParameter("Force", true).AddParameter("ErrorAction", "Ignore");
                Invoke();
            }
            finally
            {
                if (errors)
                {
                    _logs.Current.Write("error", problem);
                }
            }
        }

        private void RunFunction(Call call)
        {
            Dictionary<string, object> arguments = call.Arguments();
            try
            {
                if (call.Function.IsModule)
                {
                    _shell.AddCommand("Microsoft.PowerShell.Core\\Import-Module").AddParameter("Name", call.Function.File);
                    Invoke();
                }
                _shell.AddCommand(call.Function.Command).AddParameters(arguments).AddCommand(s_trace);
                Invoke();
            }
            catch (PipelineStoppedException)
            {
                // The script has thrown it, or the call was stopped; it is not an error of the script.
            }
            catch (RuntimeException failure)
            {
                call.Log.Exception(failure.ErrorRecord);
                throw;
            }
        }

        private void Invoke() => Invoke(out _);

        private void Invoke(out bool errors)
        {
            errors = true;
            try
            {
                _shell.Invoke();
                errors = _shell.HadErrors;
            }
            finally
            {
                _shell.Streams.ClearStreams();
                _shell.Commands.Clear();
            }
        }

        private Collection<Job> Jobs()
        {
            try
            {
                return _shell.AddCommand(s_getJob).Invoke<Job>();
            }
            finally
            {
                _shell.Streams.ClearStreams();
                _shell.Commands.Clear();
            }
        }

        private void RemoveJobs()
        {
            if (_jobs.Count == 0)
            {
                return;
            }
            try
            {
                _shell.AddCommand("Microsoft.PowerShell.Core\\Remove-Job").AddParameter("Force", true).AddParameter("ErrorAction", "SilentlyContinue")
                    .Invoke(_jobs);
            }
            finally
            {
                _shell.Streams.ClearStreams();
                _shell.Commands.Clear();
            }
        }
    }
}
