// The places where a test ends the worker as if it had been killed, under the names that the Python worker has for them.
using System;
using System.Diagnostics;
using System.Threading;

namespace Bridge.PowerShellWorker
{
    /// <summary>`BRIDGE_WORKER_CRASH_AT=ran-not-answered:2` ends the process the second time it passes that place.</summary>
    internal static class CrashPoint
    {
        internal const string StartedNotLoaded = "started-not-loaded";
        internal const string TakenNotRun = "taken-not-run";
        internal const string RanNotAnswered = "ran-not-answered";

        private const string Variable = "BRIDGE_WORKER_CRASH_AT";

        private static string s_asked;
        private static int s_left;

        /// <summary>Reads what was asked for and takes it out of the environment, so that functions do not see it.</summary>
        internal static void Arm()
        {
            string[] parts = (Environment.GetEnvironmentVariable(Variable) ?? "").Split(':');
            Environment.SetEnvironmentVariable(Variable, null);
            s_asked = parts[0];
            s_left = parts.Length > 1 ? int.Parse(parts[1]) : 1;
        }

        internal static void Passed(string point)
        {
            if (point == s_asked && Interlocked.Decrement(ref s_left) == 0)
            {
                Process.GetCurrentProcess().Kill();
            }
        }
    }
}
