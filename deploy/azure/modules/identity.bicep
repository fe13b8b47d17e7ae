// Lets one service account of a cluster act as an identity (Microsoft Entra Workload ID).

param identityName string
@description('The issuer of the cluster, such as https://westeurope.oic.prod-aks.azure.com/TENANT/CLUSTER/.')
param oidcIssuer string
param kubernetesNamespace string
param serviceAccount string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource federation 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = {
  parent: identity
  name: 'kubernetes'
  properties: {
    issuer: oidcIssuer
    subject: 'system:serviceaccount:${kubernetesNamespace}:${serviceAccount}'
    audiences: ['api://AzureADTokenExchange']
  }
}
