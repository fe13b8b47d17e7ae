using 'main.bicep'

// Yours to change: the first four.
param name = 'bridge'
param oidcIssuer = 'https://westeurope.oic.prod-aks.azure.com/TENANT/CLUSTER/'
param alertEmail = 'operations@example.com'
param kubernetesNamespace = 'default'

param serviceBusSku = 'Standard'
param store = 'redis'

// The apps that components/azure/endpoints.yaml names.
param apps = [
  {
    name: 'python-functions'
    runtime: 'python'
    version: '3.13'
    receives: ['automation-python/table-summarize']
    alwaysReady: ['table_summarize']
    settings: {
      AUTOMATION_TOPIC: 'automation-python'
      TABLE_SUMMARIZE_SUBSCRIPTION: 'table-summarize'
      RESULTS_TOPIC: 'automation-results'
    }
  }
  {
    name: 'powershell-functions'
    runtime: 'powershell'
    version: '7.6'
    receives: ['automation-powershell/host-inventory', 'automation-powershell/files-retention']
    alwaysReady: ['HostInventory', 'FilesRetention']
    settings: {
      AUTOMATION_TOPIC: 'automation-powershell'
      HOST_INVENTORY_SUBSCRIPTION: 'host-inventory'
      FILES_RETENTION_SUBSCRIPTION: 'files-retention'
      // The folder under which files may be removed; the function refuses all while there is none.
      RETENTION_ROOT: ''
      RESULTS_TOPIC: 'automation-results'
      // A worker runs so many functions at a time, and takes no more messages than it runs.
      PSWorkerInProcConcurrencyUpperBound: '10'
      AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls: '10'
    }
  }
]
