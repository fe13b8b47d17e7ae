{{/* The release has one bridge, and everything is named after it. Dapr's resources are known by namespace and name alone. */}}
{{- define "bridge.labels" -}}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: automation-bridge
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "bridge.selector" -}}
app.kubernetes.io/name: automation-bridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bridge.canary" -}}
app.kubernetes.io/name: automation-bridge-canary
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bridge.image" -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- end }}

{{/* The folder of the store. */}}
{{- define "bridge.store" -}}
{{- if hasKey .Values.sidecarEnvironment "REDIS_HOST" }}redis{{ else }}cosmosdb{{ end }}
{{- end }}

{{/* Both kinds of pods: nobody who breaks into one can do more on its node than the program itself. */}}
{{- define "bridge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "bridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
