// The vault of the function keys. The bridge's sidecar reads them; nobody is given a role that writes.
import { keyVaultSecretsUser } from 'roles.bicep'

param name string
param location string
param readerPrincipalId string

var reader = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)

resource vault 'Microsoft.KeyVault/vaults@2026-05-15' = {
  name: name
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    // For ever: a vault that was deleted by mistake keeps its name and its secrets for 90 days.
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
  }
}

resource mayRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, readerPrincipalId, reader)
  properties: { roleDefinitionId: reader, principalId: readerPrincipalId, principalType: 'ServicePrincipal' }
}
