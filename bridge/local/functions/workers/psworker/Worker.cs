// The worker: loads the app that the host names and runs the functions that it asks for.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Management.Automation;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Bridge.PowerShellWorker
{
    /// <summary>`worker.py` of the host has the messages.</summary>
    public sealed class Worker
    {
        private const string Descriptor = "BRIDGE_WORKER_SOCKET";
        private const string Bound = "PSWorkerInProcConcurrencyUpperBound";
        private const int Kill = 9;

        private readonly Channel _channel;
        private readonly Dictionary<string, FunctionScript> _functions = new();
        private SlotPool _pool;

        private Worker(Channel channel) => _channel = channel;

        /// <summary>Serves the host until it closes the connection, which ends the process.</summary>
        public static void Run()
        {
            int descriptor = int.Parse(Environment.GetEnvironmentVariable(Descriptor));
            Environment.SetEnvironmentVariable(Descriptor, null);
            CrashPoint.Arm();
            new Worker(new Channel(descriptor)).Serve();
        }

        private void Serve()
        {
            while (_channel.Receive() is JsonDocument message)
            {
                Take(message.RootElement);
            }
            // The children that functions have started end too. The host has made this process the leader of a group of its own.
            if (getpgrp() == Environment.ProcessId)
            {
                kill(0, Kill);
            }
            Environment.Exit(0);
        }

        private void Take(JsonElement message)
        {
            switch (message.GetProperty("op").GetString())
            {
                case "init":
                    Load(message);
                    break;
                case "invoke":
                    Invoke(message);
                    break;
                case "stop":
                    _pool.Stop(message.GetProperty("id").GetString());
                    break;
            }
        }

        private void Load(JsonElement message)
        {
            CrashPoint.Passed(CrashPoint.StartedNotLoaded);
            var app = new App(message.GetProperty("directory").GetString());
            var problems = new Dictionary<string, string>();
            foreach (JsonElement described in message.GetProperty("functions").EnumerateArray())
            {
                try
                {
                    var function = new FunctionScript(described);
                    _functions[function.Name] = function;
                }
                catch (FunctionRefused refused)
                {
                    problems[described.GetProperty("name").GetString()] = refused.Message;
                }
            }
            app.Functions = _functions.Values.ToList();
            if (!int.TryParse(Environment.GetEnvironmentVariable(Bound) is { Length: > 0 } given ? given : "1", out int bound) || bound < 1)
            {
                Hello(json => Refuse(json, $"{Bound} is '{Environment.GetEnvironmentVariable(Bound)}'; it must be a whole number of at least 1."));
                Environment.Exit(1);
            }
            _pool = new SlotPool(app, bound);
            _pool.Prepare();
            Hello(json => Report(json, problems));
            AppLint.Start(app, Environment.CurrentDirectory, new CallLog(_channel, null));
        }

        private void Hello(Action<Utf8JsonWriter> rest) => _channel.Send(json =>
        {
            json.WriteString("op", "hello");
            json.WriteString("engine", "the bridge's PowerShell worker");
            json.WriteString("language", $"PowerShell {PSVersion()}");
            rest(json);
        });

        private static string PSVersion() =>
            typeof(PSObject).Assembly.GetType("System.Management.Automation.PSVersionInfo").GetProperty("PSVersion")?.GetValue(null)?.ToString() ?? "";

        private static void Refuse(Utf8JsonWriter json, string problem)
        {
            json.WriteBoolean("ok", false);
            json.WriteStartObject("error");
            json.WriteString("message", problem);
            json.WriteString("stack", "");
            json.WriteEndObject();
        }

        private void Report(Utf8JsonWriter json, Dictionary<string, string> problems)
        {
            json.WriteBoolean("ok", true);
            json.WriteStartArray("functions");
            foreach (string name in _functions.Keys.Concat(problems.Keys))
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteBoolean("metadata", _functions.TryGetValue(name, out FunctionScript function) && function.Takes(FunctionScript.TriggerMetadata));
                if (problems.TryGetValue(name, out string problem))
                {
                    json.WriteString("problem", problem);
                }
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }

        private void Invoke(JsonElement order)
        {
            string name = order.GetProperty("function").GetString();
            if (_functions.TryGetValue(name, out FunctionScript function))
            {
                _pool.Run(new Call(_channel, order, function));
                return;
            }
            _channel.Send(json =>
            {
                json.WriteString("op", "done");
                json.WriteString("id", order.GetProperty("id").GetString());
                json.WriteBoolean("ok", false);
                Failure.Write(json, new InvalidOperationException($"Function with the ID '{name}' was not loaded."), Environment.CurrentDirectory);
            });
        }

        [DllImport("libc")]
        private static extern int kill(int process, int signal);

        [DllImport("libc")]
        private static extern int getpgrp();
    }
}
