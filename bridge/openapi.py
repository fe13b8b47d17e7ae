def describe(settings):
    return {}
