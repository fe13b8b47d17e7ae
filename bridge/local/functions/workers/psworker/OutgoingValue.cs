// What functions push, as the host gets it.
using System;
using System.Collections;
using System.IO;
using System.Management.Automation;
using System.Text.Json;
using System.Threading;
using Microsoft.Azure.Functions.PowerShellWorker;
using Microsoft.PowerShell.Commands;

namespace Bridge.PowerShellWorker
{
    /// <summary>Writes `{kind: content}`. A value that cannot be sent raises, which fails the call.</summary>
    internal static class OutgoingValue
    {
        private const int Depth = 10;
        private const string ContentType = "content-type";

        internal static void Write(Utf8JsonWriter to, object value, string bindingType, string bindingName, CancellationToken stop)
        {
            if (string.Equals(bindingType, "http", StringComparison.OrdinalIgnoreCase))
            {
                value = Response(value, bindingName);
            }
            to.WriteStartObject();
            WriteKind(to, value, stop);
            to.WriteEndObject();
        }

        private static HttpResponseContext Response(object value, string bindingName)
        {
            try
            {
                return LanguagePrimitives.ConvertTo<HttpResponseContext>(value);
            }
            catch (PSInvalidCastException problem)
            {
                throw new InvalidOperationException(
                    $"The given value for the 'http' output binding '{bindingName}' cannot be converted to the type 'HttpResponseContext'."
                    + $" The conversion failed with the following error: {problem.Message}");
            }
        }

        /// <summary>Returns the kind that was written.</summary>
        private static string WriteKind(Utf8JsonWriter to, object value, CancellationToken stop)
        {
            switch (value is PSObject wrapped ? wrapped.BaseObject : value)
            {
                case double number when double.IsFinite(number):
                    to.WriteNumber("double", number);
                    return "double";
                case double number:
                    to.WriteString("double", number.ToString(System.Globalization.CultureInfo.InvariantCulture));
                    return "double";
                case long number:
                    to.WriteNumber("int", number);
                    return "int";
                case int number:
                    to.WriteNumber("int", number);
                    return "int";
                case byte[] bytes:
                    to.WriteBase64String("bytes", bytes);
                    return "bytes";
                case Stream stream:
                    to.WriteBase64String("stream", Content(stream));
                    return "stream";
                case HttpResponseContext response:
                    WriteResponse(to, response, stop);
                    return "http";
                case string text:
                    string kind = IncomingValue.IsJsonContainer(text) ? "json" : "string";
                    to.WriteString(kind, text);
                    return kind;
                default:
                    to.WriteString("json", Json(value, stop));  // the PSObject, whose added properties count
                    return "json";
            }
        }

        private static byte[] Content(Stream stream)
        {
            using var copy = new MemoryStream();
            if (stream.CanSeek)
            {
                stream.Position = 0;
            }
            stream.CopyTo(copy);
            return copy.ToArray();
        }

        /// <summary>JSON as ConvertTo-Json -Depth 10 -Compress makes it. Some .NET objects lead from one to the next without end.</summary>
        private static string Json(object value, CancellationToken stop)
        {
            EndlessValue.Refuse(value, Depth);
            var context = new JsonObject.ConvertToJsonContext(Depth, false, true, Newtonsoft.Json.StringEscapeHandling.Default, null, stop);
            string json = JsonObject.ConvertToJson(value, in context);
            if (json == null || stop.IsCancellationRequested)
            {
                Type type = (value is PSObject wrapped ? wrapped.BaseObject : value).GetType();
                throw new InvalidOperationException(
                    $"The value of type '{type}' cannot be sent: making JSON of it took too long. {EndlessValue.Advice}");
            }
            return json;
        }

        private static void WriteResponse(Utf8JsonWriter to, HttpResponseContext response, CancellationToken stop)
        {
            to.WriteStartObject("http");
            to.WriteString("status", ((int)response.StatusCode).ToString(System.Globalization.CultureInfo.InvariantCulture));
            to.WriteStartObject("body");
            string kind = WriteKind(to, response.Body ?? "", stop);
            to.WriteEndObject();
            WriteHeaders(to, response, kind);
            to.WriteBoolean("enableContentNegotiation", response.EnableContentNegotiation);
            to.WriteEndObject();
        }

        /// <summary>
        /// The headers as pairs, so that a name that comes twice in different letter case stays twice. A type is added unless one is there
        /// under exactly "content-type"; of the two the host takes the last, as Azure does.
        /// </summary>
        private static void WriteHeaders(Utf8JsonWriter to, HttpResponseContext response, string bodyKind)
        {
            bool typed = false;
            to.WriteStartArray("headers");
            foreach (DictionaryEntry header in response.Headers ?? new Hashtable())
            {
                string name = header.Key.ToString();
                typed |= name == ContentType;
                WritePair(to, name, header.Value.ToString());
            }
            if (!typed)
            {
                string derived = bodyKind == "json" ? "application/json" : "text/plain";
                WritePair(to, ContentType, string.IsNullOrEmpty(response.ContentType) ? derived : response.ContentType);
            }
            to.WriteEndArray();
        }

        private static void WritePair(Utf8JsonWriter to, string name, string value)
        {
            to.WriteStartArray();
            to.WriteStringValue(name);
            to.WriteStringValue(value);
            to.WriteEndArray();
        }
    }
}
