// What a function sees of its call. Names and namespace are those of Microsoft's worker, because scripts name these types.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Net;

namespace Microsoft.Azure.Functions.PowerShellWorker
{
    /// <summary>An HTTP request; its maps find names in any letter case.</summary>
    public class HttpRequestContext
    {
        public object Body { get; internal set; }
        public Dictionary<string, string> Headers { get; } = new(StringComparer.OrdinalIgnoreCase);
        public string Method { get; internal set; }
        public string Url { get; internal set; }
        public Dictionary<string, string> Params { get; } = new(StringComparer.OrdinalIgnoreCase);
        public Dictionary<string, string> Query { get; } = new(StringComparer.OrdinalIgnoreCase);
        public object RawBody { get; internal set; }
    }

    /// <summary>An HTTP response. A script makes it with a cast from a hashtable, so property names and types are part of the contract.</summary>
    public class HttpResponseContext
    {
        public object Body { get; set; }
        public string ContentType { get; set; }
        public bool EnableContentNegotiation { get; set; }
        public IDictionary Headers { get; set; }
        public HttpStatusCode StatusCode { get; set; } = HttpStatusCode.OK;
    }

    /// <summary>The W3C trace context of the call; empty texts without one.</summary>
    public class TraceContext
    {
        public string Traceparent { get; internal set; } = "";
        public string Tracestate { get; internal set; } = "";
        public Hashtable Attributes { get; } = new(StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>Which attempt this is, where the function has a retry policy.</summary>
    public class RetryContext
    {
        public int RetryCount { get; internal set; }
        public int MaxRetryCount { get; internal set; }
        public RetryException Exception { get; internal set; } = new();
    }

    /// <summary>Why the attempt before this one failed.</summary>
    public class RetryException
    {
        public string Message { get; internal set; } = "";
        public string Source { get; internal set; } = "";
        public string StackTrace { get; internal set; } = "";
    }
}
