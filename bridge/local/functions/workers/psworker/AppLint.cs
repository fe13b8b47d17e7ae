// What an app's author may want to know at the start.
using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Management.Automation.Language;
using System.Threading;

namespace Bridge.PowerShellWorker
{
    /// <summary>Looks at the app once it has started, beside the first calls.</summary>
    internal static class AppLint
    {
        private const int MostNotes = 100;

        internal static void Start(App app, string folder, CallLog log) =>
            new Thread(() => Run(app, folder, log)) { IsBackground = true, Priority = ThreadPriority.BelowNormal, Name = "lint" }.Start();

        private static void Run(App app, string folder, CallLog log)
        {
            try
            {
                List<string> notes = MissingModules(folder).Concat(Scripts(app, folder)).Distinct().Take(MostNotes + 1).ToList();
                foreach (string note in notes.Take(MostNotes))
                {
                    log.Write("warning", note);
                }
                if (notes.Count > MostNotes)
                {
                    log.Write("warning", "There is more of this kind, which is not shown.");
                }
            }
            catch (Exception problem)
            {
                log.Write("warning", $"The scripts could not be looked through: {problem.Message}");
            }
        }

        private static IEnumerable<string> Scripts(App app, string folder)
        {
            ISet<string> variables = app.Profile == null ? new HashSet<string>() : ScriptLint.AssignedVariables(app.Profile);
            IEnumerable<string> files = app.Functions.Select(each => each.File).Distinct();
            IEnumerable<string> notes = files.SelectMany(file => ScriptLint.Read(file, folder, variables));
            return app.Profile == null ? notes : ScriptLint.Read(app.Profile, folder, new HashSet<string>()).Concat(notes);
        }

        /// <summary>Modules that requirements.psd1 names. Azure downloads them; this host takes what lies in the app or is installed.</summary>
        private static IEnumerable<string> MissingModules(string folder)
        {
            string file = Path.Combine(folder, "requirements.psd1");
            if (!File.Exists(file))
            {
                yield break;
            }
            Ast table = Parser.ParseFile(file, out _, out _).Find(node => node is HashtableAst, searchNestedScriptBlocks: false);
            string[] places = (Environment.GetEnvironmentVariable("PSModulePath") ?? "").Split(Path.PathSeparator);
            var missing = (table == null ? new Hashtable() : (Hashtable)table.SafeGetValue()).Keys.Cast<object>().Select(each => $"{each}")
                .Where(name => !places.Any(place => Directory.Exists(Path.Combine(place, name)))).Order().ToList();
            if (missing.Count > 0)
            {
                yield return $"requirements.psd1 names {string.Join(", ", missing)}, which this host does not download; the calls that need it will fail."
                    + $" Save it into the app: Save-Module {missing[0]} -Path {Path.Combine(folder, "Modules")}";
            }
            if (Directory.Exists(Path.Combine(folder, "modules")) && !Directory.Exists(Path.Combine(folder, "Modules")))
            {
                yield return "The folder 'modules' is not looked in on Linux; name it 'Modules'.";
            }
        }
    }
}
