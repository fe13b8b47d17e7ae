// Values from the host, as scripts get them.
using System;
using System.Collections.Generic;
using System.Management.Automation;
using System.Text;
using System.Text.Json;
using Microsoft.Azure.Functions.PowerShellWorker;
using Microsoft.PowerShell.Commands;
using Newtonsoft.Json.Linq;

namespace Bridge.PowerShellWorker
{
    /// <summary>Reads `{kind: content}`; null is no value.</summary>
    internal static class IncomingValue
    {
        internal static object Read(JsonElement value)
        {
            if (value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined)
            {
                return null;
            }
            foreach (JsonProperty only in value.EnumerateObject())
            {
                return Read(only.Name, only.Value);
            }
            return null;
        }

        private static object Read(string kind, JsonElement content) => kind switch
        {
            "string" => Text(content.GetString()),
            "json" => FromJson(content.GetString()),
            "bytes" or "stream" => content.GetBytesFromBase64(),
            "int" => content.GetInt64(),
            "double" => Double(content),
            "http" => Request(content),
            _ => new InvalidOperationException("DataCase was not set."),  // an object, not a failure: what Azure hands over for kinds it does not know
        };

        /// <summary>JSON has no number for these three, so they come as text.</summary>
        private static double Double(JsonElement content) =>
            content.ValueKind == JsonValueKind.String ? double.Parse(content.GetString(), System.Globalization.CultureInfo.InvariantCulture) : content.GetDouble();

        /// <summary>Text that is a JSON object or array becomes that; all other text stays.</summary>
        private static object Text(string text) => IsJsonContainer(text) ? FromJson(text) : text;

        /// <summary>Whether Azure's worker takes the text for an object or an array: Newtonsoft decides, up to its depth of 64.</summary>
        internal static bool IsJsonContainer(string text)
        {
            ReadOnlySpan<char> trimmed = text.AsSpan().Trim();
            if (trimmed.Length < 2 || !((trimmed[0] == '{' && trimmed[^1] == '}') || (trimmed[0] == '[' && trimmed[^1] == ']')))
            {
                return false;
            }
            try
            {
                JToken.Parse(trimmed.ToString());
                return true;
            }
            catch (Newtonsoft.Json.JsonException)
            {
                return false;
            }
        }

        private static object FromJson(string text) => JsonObject.ConvertFromJson(text, true, out ErrorRecord _);

        private static HttpRequestContext Request(JsonElement content)
        {
            var request = new HttpRequestContext { Method = content.GetProperty("method").GetString(), Url = content.GetProperty("url").GetString() };
            Fill(request.Headers, content.GetProperty("headers"));
            Fill(request.Query, content.GetProperty("query"));
            Fill(request.Params, content.GetProperty("params"));
            if (content.TryGetProperty("body", out JsonElement body) && body.ValueKind != JsonValueKind.Null)
            {
                request.Headers.TryGetValue("content-type", out string type);
                (request.Body, request.RawBody) = Body(body, type);
            }
            return request;
        }

        private static void Fill(Dictionary<string, string> map, JsonElement pairs)
        {
            foreach (JsonProperty pair in pairs.EnumerateObject())
            {
                map[pair.Name] = pair.Value.GetString();
            }
        }

        private static (object Body, object Raw) Body(JsonElement value, string contentType)
        {
            JsonProperty only = First(value);
            if (only.Name == "string")
            {
                string text = only.Value.GetString();
                return (IsJsonType(contentType) ? Text(text) : text, text);
            }
            object body = Read(only.Name, only.Value);
            return (body, body is byte[] bytes ? Encoding.UTF8.GetString(bytes) : Read(only.Name, only.Value));
        }

        private static JsonProperty First(JsonElement value)
        {
            foreach (JsonProperty only in value.EnumerateObject())
            {
                return only;
            }
            return default;
        }

        /// <summary>A body without a type counts as JSON; one with an empty type or one of the form x+json does not.</summary>
        private static bool IsJsonType(string contentType)
        {
            if (contentType == null)
            {
                return true;
            }
            return System.Net.Http.Headers.MediaTypeHeaderValue.TryParse(contentType, out var type)
                && string.Equals(type.MediaType, "application/json", StringComparison.OrdinalIgnoreCase);
        }
    }
}
