// The function app: its folder, its functions and what every runspace starts with.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Reflection;
using Microsoft.Azure.Functions.PowerShellWorker;

namespace Bridge.PowerShellWorker
{
    /// <summary>What all runspaces of the app share.</summary>
    internal sealed class App
    {
        private const string ModulePath = "PSModulePath";

        private readonly string _modules;

        internal InitialSessionState InitialState { get; } = InitialSessionState.CreateDefault();
        internal IReadOnlyList<FunctionScript> Functions { get; set; } = Array.Empty<FunctionScript>();

        /// <summary>The path of profile.ps1 in any letter case, null without one.</summary>
        internal string Profile { get; }

        internal CultureInfo Culture { get; } = CultureInfo.CurrentCulture;
        internal CultureInfo UserCulture { get; } = CultureInfo.CurrentUICulture;

        internal App(string folder)
        {
            string assembly = typeof(App).Assembly.Location;
            Environment.CurrentDirectory = folder;
            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            // The app's own modules come first. What the user has installed stands in for what Azure would download.
            _modules = string.Join(
                Path.PathSeparator,
                Path.Combine(folder, "Modules"),
                Path.GetDirectoryName(Path.GetDirectoryName(assembly)),
                Path.Combine(Path.GetDirectoryName(typeof(PSObject).Assembly.Location), "Modules"),
                "/usr/local/share/powershell/Modules",
                Path.Combine(home, ".local/share/powershell/Modules"));
            Profile = Directory.EnumerateFiles(folder).FirstOrDefault(each => Path.GetFileName(each).Equals("profile.ps1", StringComparison.OrdinalIgnoreCase));
            InitialState.ImportPSModule(new[] { assembly });
            AddTypeNames();
            SetModulePath();
        }

        internal void SetModulePath()
        {
            if (Environment.GetEnvironmentVariable(ModulePath) != _modules)
            {
                Environment.SetEnvironmentVariable(ModulePath, _modules);
            }
        }

        /// <summary>Scripts write [HttpResponseContext] without its namespace.</summary>
        private static void AddTypeNames()
        {
            MethodInfo add = typeof(PSObject).Assembly.GetType("System.Management.Automation.TypeAccelerators").GetMethod("Add");
            foreach (Type type in new[] { typeof(HttpRequestContext), typeof(HttpResponseContext) })
            {
                add.Invoke(null, new object[] { type.Name, type });
            }
        }
    }
}
