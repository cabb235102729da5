# Devstack plugin of the Glance store for ONTAP. stack.sh, unstack.sh and clean.sh
# source it; they define the functions and variables that it uses.

_glance_ontap_xtrace=$(set +o | grep xtrace)
set +o xtrace

# Print the ids of the stores, separated by blanks.
function glance_ontap_ids {
    local store ids=""
    for store in $GLANCE_ONTAP_STORES; do
        ids+="${store%%=*} "
    done
    echo "${ids% }"
}

function install_glance_ontap {
    if is_ubuntu; then
        install_package nfs-common
    else
        install_package nfs-utils
    fi
    pip_install "${GLANCE_ONTAP_STORE_DIR}[cli]"
}

function configure_glance_ontap {
    local id
    local backends="file:file"
    for id in $(glance_ontap_ids); do
        backends+=",$id:ontap"
        iniset "$GLANCE_API_CONF" "$id" store_description "Images on ONTAP"
        iniset "$GLANCE_API_CONF" "$id" ontap_volume_type "images-$id"
        iniset "$GLANCE_API_CONF" "$id" ontap_store_auth_address "$KEYSTONE_SERVICE_URI_V3"
        iniset "$GLANCE_API_CONF" "$id" ontap_store_user_name "$GLANCE_ONTAP_USER"
        iniset "$GLANCE_API_CONF" "$id" ontap_store_password "$SERVICE_PASSWORD"
        iniset "$GLANCE_API_CONF" "$id" ontap_store_project_name "$SERVICE_PROJECT_NAME"
        iniset "$GLANCE_API_CONF" "$id" ontap_os_region_name "$REGION_NAME"
        iniset "$GLANCE_API_CONF" "$id" ontap_mount_point_base "$GLANCE_ONTAP_MOUNT_POINT_BASE"
        iniset "$GLANCE_API_CONF" "$id" ontap_rootwrap_config "$GLANCE_CONF_DIR/rootwrap.conf"
    done
    iniset "$GLANCE_API_CONF" DEFAULT enabled_backends "$backends"
    # Devstack uploads its image before volume types exist: this one goes to "file".
    iniset "$GLANCE_API_CONF" glance_store default_backend file
    iniset "$GLANCE_API_CONF" file filesystem_store_datadir "$GLANCE_IMAGE_DIR/"
    configure_reserved_stores
    iniset "$GLANCE_API_CONF" keystone_authtoken service_token_roles service
    iniset "$GLANCE_API_CONF" keystone_authtoken service_token_roles_required true
    iniset "$GLANCE_API_CONF" oslo_policy policy_file policy.yaml
    echo '"fetch_image_location": "role:service or service_roles:service"' \
        >"$GLANCE_CONF_DIR/policy.yaml"
    # Cinder asks Glance with the user's token and its own service token.
    iniset "$CINDER_CONF" glance auth_type ""

    sudo install -d -o "$STACK_USER" "$GLANCE_ONTAP_MOUNT_POINT_BASE"
    configure_glance_ontap_rootwrap
    create_service_user "$GLANCE_ONTAP_USER" member
}

# Glance's rootwrap.conf and filters belong to the stack user in devstack.
function configure_glance_ontap_rootwrap {
    local rule="$GLANCE_BIN_DIR/glance-rootwrap $GLANCE_CONF_DIR/rootwrap.conf *"
    sudo install -o root -g root -m 0644 \
        "$GLANCE_ONTAP_STORE_DIR/etc/glance/rootwrap.d/glance_ontap_store.filters" \
        "$GLANCE_CONF_DIR/rootwrap.d/"
    iniset -sudo "$GLANCE_CONF_DIR/rootwrap.conf" DEFAULT exec_dirs \
        "$GLANCE_BIN_DIR,/usr/local/sbin,/usr/local/bin,/usr/sbin,/usr/bin,/sbin,/bin"
    echo "$STACK_USER ALL=(root) NOPASSWD: $rule" |
        sudo install -o root -g root -m 0440 /dev/stdin /etc/sudoers.d/glance-ontap
    add_sudo_secure_path "$GLANCE_BIN_DIR"
}

function start_glance_ontap {
    local store id type ids
    for store in $GLANCE_ONTAP_STORES; do
        type="images-${store%%=*}"
        openstack --os-cloud devstack-admin volume type create "$type" \
            --property volume_backend_name="$GLANCE_ONTAP_CINDER_BACKEND" \
            --property pool_name="${store#*=}"
    done
    openstack --os-cloud devstack-admin quota set --volumes -1 --gigabytes -1 \
        "$SERVICE_PROJECT_NAME"
    ids=$(glance_ontap_ids)
    id=${ids%% *}
    iniset "$GLANCE_API_CONF" glance_store default_backend "$id"
    restart_service devstack@g-api
}

# Remove what is outside of Glance's directories. Volumes and types end with Cinder.
function clean_glance_ontap {
    local mounted
    for mounted in "$GLANCE_ONTAP_MOUNT_POINT_BASE"/*; do
        if mountpoint -q "$mounted"; then
            sudo umount "$mounted"
        fi
    done
    sudo rm -f /etc/sudoers.d/glance-ontap
}

if is_service_enabled g-api; then
    if [[ "$1" == "stack" && "$2" == "install" ]]; then
        echo_summary "Installing the Glance store for ONTAP"
        install_glance_ontap
    elif [[ "$1" == "stack" && "$2" == "post-config" ]]; then
        echo_summary "Configuring the Glance store for ONTAP"
        configure_glance_ontap
    elif [[ "$1" == "stack" && "$2" == "extra" ]]; then
        echo_summary "Starting the Glance store for ONTAP"
        start_glance_ontap
    elif [[ "$1" == "clean" ]]; then
        clean_glance_ontap
    fi
fi

$_glance_ontap_xtrace
