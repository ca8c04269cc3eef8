{{/* The labels of all objects; of the context and a component. */}}
{{- define "anabranch.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
app.kubernetes.io/part-of: anabranch
{{ include "anabranch.selector" . }}
{{- end }}

{{/* Those that pods are found by. */}}
{{- define "anabranch.selector" -}}
app.kubernetes.io/name: anabranch
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels that somebody wants pods to have; of their values and the path of these. */}}
{{- define "anabranch.podLabels" -}}
{{- $labels := .values.podLabels | default dict }}
{{- range $name := keys $labels | sortAlpha }}
{{- if regexMatch "^(app\\.kubernetes\\.io|anabranch\\.dev)/" $name }}
{{- fail (printf "%s.podLabels has %s: labels of app.kubernetes.io/ and anabranch.dev/ are those that pods are found by, and the chart's own; choose another name" $.path $name) }}
{{- end }}
{{- end }}
{{- toYaml $labels }}
{{- end }}

{{/* The metadata of a pod: what it is found by, what somebody wants, and annotations of
     ours; of the context, a component, values with their path, and the annotations. */}}
{{- define "anabranch.podMetadata" -}}
labels:
  {{- merge (include "anabranch.selector" . | fromYaml) (include "anabranch.podLabels" . | fromYaml) | toYaml | nindent 2 }}
{{- with merge (.annotations | default dict) (.values.podAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image; of the context and the values of one. The tag tells people what a digest
     is of. */}}
{{- define "anabranch.image" -}}
{{ .image.repository }}:{{ .image.tag | default .context.Chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Where a pod may run, and what it may push aside; of the values of one. */}}
{{- define "anabranch.placement" -}}
{{- $chosen := dict }}
{{- range $name, $value := pick . "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- if $value }}
{{- $_ := set $chosen $name $value }}
{{- end }}
{{- end }}
{{- with $chosen }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* The PriorityClass of agents, if they have one. */}}
{{- define "anabranch.agentPriority" -}}
{{- if .Values.agents.priorityClass.create -}}
{{ .Release.Namespace }}-agents
{{- else -}}
{{ .Values.agents.priorityClassName }}
{{- end }}
{{- end }}

{{/* The name of objects that no namespace holds: several releases have several. */}}
{{- define "anabranch.clusterName" -}}
anabranch:{{ .context.Release.Namespace }}:{{ .component }}
{{- end }}

{{/* The Secret of the store, if there is one. */}}
{{- define "anabranch.storeSecret" -}}
{{- if .Values.store.existingSecret -}}
{{ .Values.store.existingSecret }}
{{- else if .Values.store.embedded.enabled -}}
anabranch-store
{{- end }}
{{- end }}

{{/* The URL of the store's S3; none if it is AWS. */}}
{{- define "anabranch.storeEndpoint" -}}
{{- if .Values.store.embedded.enabled -}}
http://anabranch-store.{{ .Release.Namespace }}.svc:7070
{{- else -}}
{{ .Values.store.endpoint }}
{{- end }}
{{- end }}

{{/* Whether the operator makes the users of the store, and so Secrets. */}}
{{- define "anabranch.storeIsGateway" -}}
{{- if and .Values.store.embedded.enabled (not .Values.store.agentSecret) -}}
true
{{- end }}
{{- end }}

{{/* The security context of a pod that needs nothing, and of its container. */}}
{{- define "anabranch.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "anabranch.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Rights where Measurements are: a ClusterRole, or a Role in each watched namespace,
     with their bindings; of the context, a component, its rules and service account. */}}
{{- define "anabranch.watchedRights" -}}
{{- $root := .context }}
{{- $labels := include "anabranch.labels" . }}
{{- $name := printf "anabranch-%s-watched" .component }}
{{- $kind := "Role" }}
{{- $namespaces := uniq (append $root.Values.watchNamespaces $root.Release.Namespace) }}
{{- if not $root.Values.watchNamespaces }}
{{- $name = include "anabranch.clusterName" . }}
{{- $kind = "ClusterRole" }}
{{- $namespaces = list "" }}
{{- end }}
{{- range $namespace := $namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
rules:
  {{- $.rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: anabranch-{{ $.component }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end }}

{{/* Rights in the system namespace; of the same. */}}
{{- define "anabranch.systemRights" -}}
{{- $labels := include "anabranch.labels" . }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: anabranch-{{ .component }}
  namespace: {{ .context.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: anabranch-{{ .component }}
  namespace: {{ .context.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: anabranch-{{ .component }}
subjects:
  - kind: ServiceAccount
    name: anabranch-{{ .component }}
    namespace: {{ .context.Release.Namespace }}
{{- end }}
