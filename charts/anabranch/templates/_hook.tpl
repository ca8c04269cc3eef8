{{/* A Job that runs a script of ours when Helm is done, with rights that are there for so
     long alone; of the context, a component, the hooks, the script's name, rules, and files
     that it reads. */}}
{{- define "anabranch.hook" -}}
{{- $root := .context }}
{{- $name := printf "anabranch-%s" .component }}
{{- $labels := include "anabranch.labels" . }}
{{- $accounts := $root.Values.serviceAccounts }}
{{- range $kind := list "ConfigMap" "ServiceAccount" "Role" "RoleBinding" }}
---
apiVersion: {{ ternary "rbac.authorization.k8s.io/v1" "v1" (hasPrefix "Role" $kind) }}
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    helm.sh/hook: {{ $.hooks }}
    helm.sh/hook-weight: "-1"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- if eq $kind "ConfigMap" }}
data:
  {{- merge (dict $.script ($root.Files.Get (printf "files/%s" $.script))) $.files | toYaml | nindent 2 }}
{{- else if eq $kind "ServiceAccount" }}
{{- with $accounts.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- else if eq $kind "Role" }}
rules:
  {{- $.rules | nindent 2 }}
{{- else }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    helm.sh/hook: {{ $.hooks }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    helm.sh/hook-output-log-policy: hook-failed
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 240
  template:
    metadata:
      {{- include "anabranch.podMetadata" (merge (dict "path" "operator" "values" $root.Values.operator) .) | nindent 6 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $name }}
      enableServiceLinks: false
      securityContext:
        {{- include "anabranch.podSecurity" $root | nindent 8 }}
      containers:
        - name: {{ .component }}
          image: {{ include "anabranch.image" (dict "context" $root "image" $root.Values.operator.image) }}
          imagePullPolicy: {{ $root.Values.operator.image.pullPolicy }}
          command: [python, /etc/anabranch/{{ .script }}]
          env:
            - name: NAMESPACE
              value: {{ $root.Release.Namespace }}
          resources:
            {{- toYaml $root.Values.operator.resources | nindent 12 }}
          securityContext:
            {{- include "anabranch.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            - {name: files, mountPath: /etc/anabranch, readOnly: true}
      volumes:
        - name: files
          configMap: {name: {{ $name }}}
      {{- with include "anabranch.placement" $root.Values.operator }}
      {{- nindent 6 . }}
      {{- end }}
{{- end }}
