// An app as a platform engineer writes one. It is compiled without the generators of the SDK, so its functions are described by a file alone.
using System;
using System.Net;
using System.Threading.Tasks;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Azure.Functions.Worker.Http;
using Microsoft.Azure.Functions.Worker.Middleware;
using Microsoft.Extensions.Hosting;

var builder = FunctionsApplication.CreateBuilder(args);
builder.UseMiddleware<Orders.Conflicts>();
builder.Build().Run();

namespace Orders
{
    public record Order(string Item, int Count);

    public class OutOfStock : Exception
    {
        public OutOfStock(string item) : base(item + " is out of stock") { }
    }

    public class Conflicts : IFunctionsWorkerMiddleware
    {
        public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
        {
            try
            {
                await next(context);
            }
            catch (OutOfStock refused)
            {
                var answer = (await context.GetHttpRequestDataAsync()).CreateResponse(HttpStatusCode.Conflict);
                answer.WriteString(refused.Message);
                context.GetInvocationResult().Value = answer;
            }
        }
    }

    public class Functions
    {
        [Function("Place")]
        public HttpResponseData Place([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "orders")] HttpRequestData request, [FromBody] Order order)
        {
            if (order.Count > 9) throw new OutOfStock(order.Item);
            var answer = request.CreateResponse(HttpStatusCode.Created);
            answer.WriteString(order.Count + " of " + order.Item);
            return answer;
        }
    }
}
