// Copies the key of a function app into the vault, under the name that components/azure/endpoints.yaml reads. An app has a key once its code
// has been published.

param vaultName string
param appName string
@description('The name of the app in the catalogue.')
param name string

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

resource vault 'Microsoft.KeyVault/vaults@2026-05-15' existing = {
  name: vaultName
}

resource key 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = {
  parent: vault
  name: '${name}-key'
  properties: {
    value: listKeys('${app.id}/host/default', app.apiVersion).functionKeys.default
  }
}
