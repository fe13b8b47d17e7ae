"""The function app: each automation is a module of its own, registered below."""

import azure.functions as func

app = func.FunctionApp()
