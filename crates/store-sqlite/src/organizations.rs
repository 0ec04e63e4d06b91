//! Changes of organizations and of who belongs to them.

use countersign_domain::change::MembershipLimits;
use countersign_domain::id::{AccountId, MembershipId};
use countersign_domain::organization::{Membership, Organization};
use countersign_domain::store::{StoreError, Version};
use rusqlite::{Connection, params};

use crate::apply::{check_version, exists, find, insert, run, signed};
use crate::failure::Failure;
use crate::row::{self, Cells};
use crate::sql;
use crate::tally::Shift;

pub(crate) fn create(
    connection: &Connection,
    organization: &Organization,
    membership: &Membership,
    limit: u32,
) -> Result<Vec<Shift>, Failure> {
    check_room(connection, sql::FIND_ACCOUNT_MEMBERSHIPS, organization.owner.as_bytes(), limit)?;
    insert_row(connection, organization)?;
    insert_membership(connection, membership)?;
    Ok(Vec::new())
}

/// The row alone, without a look at any other.
pub(crate) fn insert_row(connection: &Connection, organization: &Organization) -> Result<(), Failure> {
    let values = params![
        organization.id.as_bytes(),
        organization.owner.as_bytes(),
        organization.profile.as_json(),
        organization.active,
        organization.created_at.as_micros(),
        organization.updated_at.as_micros(),
        signed(organization.version.number()),
    ];
    insert(connection, sql::INSERT_ORGANIZATION, values)
}

pub(crate) fn replace(
    connection: &Connection,
    organization: &Organization,
    expected: Version,
) -> Result<Vec<Shift>, Failure> {
    let id = organization.id.as_bytes();
    let stored = find(connection, sql::FIND_ORGANIZATION, [id], row::organization)?;
    let stored = stored.filter(|stored| stored.owner == organization.owner).ok_or(StoreError::NotFound)?;
    check_version(stored.version, expected)?;
    let values = params![
        id,
        organization.profile.as_json(),
        organization.active,
        organization.updated_at.as_micros(),
        signed(organization.version.number()),
    ];
    run(connection, sql::UPDATE_ORGANIZATION, values)?;
    Ok(Vec::new())
}

pub(crate) fn create_membership(
    connection: &Connection,
    membership: &Membership,
    limits: MembershipLimits,
) -> Result<Vec<Shift>, Failure> {
    let (account, organization) = (membership.account.as_bytes(), membership.organization.as_bytes());
    let of_account = if membership.is_agreed() { limits.of_account } else { u32::MAX };
    check_room(connection, sql::FIND_ACCOUNT_MEMBERSHIPS, account, of_account)?;
    check_room(connection, sql::FIND_ORGANIZATION_MEMBERSHIPS, organization, limits.of_organization)?;
    if exists(connection, sql::FIND_MEMBERSHIP_OF, params![account, organization])? {
        return Err(StoreError::Duplicate.into());
    }
    insert_membership(connection, membership)?;
    Ok(Vec::new())
}

/// `NotFound` when there is nothing that could have a membership.
fn check_room(connection: &Connection, sql: &str, id: &[u8; 16], limit: u32) -> Result<(), Failure> {
    let held = find(connection, sql, [id], |row| Cells::of(row, "memberships").number::<u32>("memberships"))?;
    match held {
        None => Err(StoreError::NotFound.into()),
        Some(held) if held >= limit => Err(StoreError::LimitReached { limit }.into()),
        Some(_) => Ok(()),
    }
}

fn insert_membership(connection: &Connection, membership: &Membership) -> Result<(), Failure> {
    insert_membership_row(connection, membership)?;
    count_agreed(connection, membership.account, i64::from(membership.is_agreed()))?;
    run(connection, sql::ADD_ORGANIZATION_MEMBERSHIP, params![membership.organization.as_bytes(), 1])?;
    Ok(())
}

/// The row alone, without a look at any other.
pub(crate) fn insert_membership_row(connection: &Connection, membership: &Membership) -> Result<(), Failure> {
    let values = params![
        membership.id.as_bytes(),
        membership.organization.as_bytes(),
        membership.account.as_bytes(),
        membership.role.as_str(),
        membership.consent.as_str(),
        membership.disabled,
        membership.created_at.as_micros(),
        membership.updated_at.as_micros(),
        signed(membership.version.number()),
    ];
    insert(connection, sql::INSERT_MEMBERSHIP, values)
}

fn count_agreed(connection: &Connection, account: AccountId, by: i64) -> Result<(), Failure> {
    if by != 0 {
        run(connection, sql::ADD_ACCOUNT_MEMBERSHIP, params![account.as_bytes(), by])?;
    }
    Ok(())
}

pub(crate) fn replace_membership(
    connection: &Connection,
    membership: &Membership,
    expected: Version,
    limit: u32,
) -> Result<Vec<Shift>, Failure> {
    let stored = find_membership(connection, membership.id)?;
    let is_same = |stored: &Membership| {
        stored.account == membership.account && stored.organization == membership.organization
    };
    let stored = stored.filter(is_same).ok_or(StoreError::NotFound)?;
    check_version(stored.version, expected)?;
    let by = i64::from(membership.is_agreed()) - i64::from(stored.is_agreed());
    if by > 0 {
        check_room(connection, sql::FIND_ACCOUNT_MEMBERSHIPS, membership.account.as_bytes(), limit)?;
    }
    count_agreed(connection, membership.account, by)?;
    let values = params![
        membership.id.as_bytes(),
        membership.role.as_str(),
        membership.consent.as_str(),
        membership.disabled,
        membership.updated_at.as_micros(),
        signed(membership.version.number()),
    ];
    run(connection, sql::UPDATE_MEMBERSHIP, values)?;
    Ok(Vec::new())
}

pub(crate) fn delete_membership(
    connection: &Connection,
    id: MembershipId,
    expected: Version,
) -> Result<Vec<Shift>, Failure> {
    let stored = find_membership(connection, id)?.ok_or(StoreError::NotFound)?;
    check_version(stored.version, expected)?;
    remove_membership(connection, &stored)?;
    Ok(Vec::new())
}

/// Removes a row that was found.
pub(crate) fn remove_membership(connection: &Connection, membership: &Membership) -> Result<(), Failure> {
    run(connection, sql::DELETE_MEMBERSHIP, [membership.id.as_bytes()])?;
    count_agreed(connection, membership.account, -i64::from(membership.is_agreed()))?;
    run(connection, sql::ADD_ORGANIZATION_MEMBERSHIP, params![membership.organization.as_bytes(), -1])?;
    Ok(())
}

fn find_membership(connection: &Connection, id: MembershipId) -> Result<Option<Membership>, Failure> {
    find(connection, sql::FIND_MEMBERSHIP, [id.as_bytes()], row::membership)
}
